"""Which process this is, and whether the one that recorded a run still lives.

A pid alone lies: pids are used again, machines restart, containers number their own. So an attempt
keeps host, boot id, pid namespace, pid and the process's start time. Where those cannot be compared
(another host or container), the heartbeat decides.
"""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tracker.clock import now, shown

HEARTBEAT_SECONDS = 15.0
SILENT_SECONDS = 300.0
"""Without a heartbeat for this long, a process elsewhere counts as dead."""

_SAME_START = 2.0  # seconds; the start time is computed from clock ticks and the boot time


@dataclass(frozen=True)
class Identity:
    """A process, told apart from every other one."""

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    process_started: float

    def as_dict(self) -> dict[str, Any]:
        """Return the columns of an attempt."""
        return asdict(self)


def me() -> Identity:
    """Return this process's identity."""
    return _identity(os.getpid())


@lru_cache(maxsize=4)
def _identity(pid: int) -> Identity:
    import psutil

    return Identity(
        host=socket.gethostname(),
        boot_id=_boot_id(),
        pid_namespace=_pid_namespace(),
        pid=pid,
        process_started=psutil.Process(pid).create_time(),
    )


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import psutil

        return str(round(psutil.boot_time() / 60))


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def is_alive(attempt: Any) -> bool:
    """Say whether the process of an attempt (a row with the columns of `Identity` and ``heartbeat``) lives.

    On this host and since this boot the process table answers; elsewhere a heartbeat younger than
    `SILENT_SECONDS` does.
    """
    if attempt.host == socket.gethostname():
        if attempt.boot_id != _boot_id():
            return False
        if attempt.pid_namespace == _pid_namespace():
            return _lives(attempt.pid, attempt.process_started)
    return bool(now() - attempt.heartbeat < SILENT_SECONDS * 1e6)


def lost_reason(attempt: Any) -> str:
    """Say why an attempt counts as lost."""
    return (
        f"process {attempt.pid} on {attempt.host} ended without a word; "
        f"last heard of at {shown(attempt.heartbeat)}"
    )


def _lives(pid: int, started: float) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return bool(
            abs(process.create_time() - started) < _SAME_START
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False
