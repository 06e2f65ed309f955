"""Which process this is, and whether the one that recorded a run still lives.

A pid alone is not enough: pids are reused, machines restart, containers number their own. So an
attempt keeps host, boot id, pid namespace, pid and the process's start time. Where those cannot be
compared (another host or container), the heartbeat decides, by the wall clock, or by the server's where
there is one. On Linux, comparing needs no clock that people set: the start time is the kernel's, in seconds
since boot.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tracker.clock import now, shown
from tracker.states import RunStatus

HEARTBEAT_SECONDS = 15.0
SILENT_SECONDS = 300.0
"""Without a heartbeat for this long, a process elsewhere counts as dead."""

_WITHOUT_END = (RunStatus.RUNNING, RunStatus.LOST)
"""The statuses of an attempt that did not report its end."""

_LINUX = sys.platform == "linux"
_SAME_START = 0.5 if _LINUX else 2.0
"""Seconds; where it is not Linux, the start is computed from the time of day."""


@dataclass(frozen=True)
class Identity:
    """What tells a process apart from every other one."""

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    process_started: float

    def as_dict(self) -> dict[str, Any]:
        """Return the columns of an attempt."""
        return dict(vars(self))


def me() -> Identity:
    """Return this process's identity."""
    return _identity(os.getpid())


@lru_cache(maxsize=4)
def _identity(pid: int) -> Identity:
    return Identity(
        host=socket.gethostname(),
        boot_id=_boot_id(),
        pid_namespace=_pid_namespace(),
        pid=pid,
        process_started=_started(pid) or 0.0,
    )


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(round(_booted() / 60))


def _booted() -> float:
    """Return when this machine started, in seconds since 1970."""
    if _LINUX:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    import psutil

    return float(psutil.boot_time())


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def is_alive(attempt: Any, database_time: Callable[[], int] = now) -> bool:
    """Say whether the process of an attempt (a row with the columns of `Identity` and ``heartbeat``) lives.

    On this machine and since its boot the process table answers; a process elsewhere counts as alive if its last
    heartbeat is less than `SILENT_SECONDS` old. Two machines may share a name: what was heard of after this one started
    cannot be a run from before it started.

    Args:
        attempt: its row.
        database_time: the clock that has stamped ``heard``, where the row has that: a server's. Machines may
            disagree about the time by more than `SILENT_SECONDS`.
    """
    if attempt.boot_id == _boot_id() and (_LINUX or attempt.host == socket.gethostname()):
        if attempt.pid_namespace == _pid_namespace():
            lives = _lives(attempt.pid, attempt.process_started)
            if lives is not None:
                return lives
        return _silence(attempt, database_time) < SILENT_SECONDS
    silence = _silence(attempt, database_time)
    if attempt.host == socket.gethostname():
        return silence < min(SILENT_SECONDS, time.time() - _booted())
    return silence < SILENT_SECONDS


def _silence(attempt: Any, database_time: Callable[[], int]) -> float:
    """Return how many seconds ago an attempt was heard of."""
    heard = getattr(attempt, "heard", None)
    since = now() - attempt.heartbeat if heard is None else database_time() - heard
    return float(since / 1e6)


def is_live(attempt: Any, database_time: Callable[[], int] = now) -> bool:
    """Say whether an attempt may still record: its end was not recorded, and its process lives.

    One that was called lost counts as well: its process may have been silent only, and write again.
    Everybody who asks whether an attempt is still being recorded asks here, most by
    `tracker.storage.liveness.is_live`. Its row needs ``status`` and the columns of `is_alive`.
    """
    return attempt.status in _WITHOUT_END and is_alive(attempt, database_time)


def exists(pid: int) -> bool:
    """Say whether there is a process with this number here, whichever it is."""
    try:
        return _started(pid) is not None
    except PermissionError:
        return True


def lock_holder(path: Path) -> str | None:
    """Name the process that holds the lock (`fcntl.flock`) of a file; None where that cannot be told."""
    try:
        locks, file = Path("/proc/locks").read_text().splitlines(), path.stat()
    except OSError:
        return None
    place = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for lock in locks:
        fields = lock.split()
        if place in fields and "FLOCK" in fields and "->" not in fields:
            return _named(int(fields[fields.index(place) - 1]))
    return None


def _named(pid: int) -> str:
    try:
        # pid (name) state …
        name, _, rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
    except OSError:
        return f"process {pid}"
    called = f"process {pid} ({name.partition('(')[2]})"
    if rest.split()[0] not in "Tt":
        return called
    return f"{called}, which is stopped: continue it with kill -CONT {pid}, or end it"


def lost_reason(attempt: Any) -> str:
    """Say why an attempt counts as lost."""
    return (
        f"process {attempt.pid} on {attempt.host} exited without reporting a status; "
        f"its last heartbeat was at {shown(attempt.heartbeat)}"
    )


def _lives(pid: int, started: float) -> bool | None:
    """Say whether that very process lives; None where this user may not know."""
    try:
        actual = _started(pid)
    except PermissionError:
        return None
    return actual is not None and abs(actual - started) < _SAME_START


def _started(pid: int) -> float | None:
    """Return when a process started; None where there is no such process, or only its zombie."""
    if not _LINUX:
        return _started_elsewhere(pid)
    try:
        # pid (name) state … field 22: after the name, which may hold spaces and parentheses
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        if pid > 0 and _hidden(pid):
            raise PermissionError(f"process {pid} is another user's") from None
        return None
    if fields[0] in "ZXx":
        return None
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _hidden(pid: int) -> bool:
    """Say whether there is such a process, though /proc does not show it (mounted with hidepid)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return False


def _started_elsewhere(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.AccessDenied as error:
        raise PermissionError(f"process {pid} is another user's") from error
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return None
