"""What a process and its children use: processor time, memory, disk; and what the machine's network carries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Usage:
    """Sums at one moment, since some moment before; None for what this system does not tell.

    Attributes:
        at: seconds of the monotonic clock.
        cpu_seconds: of the process, of its living children, and of those that have ended.
        memory_bytes: resident now; memory that children share is counted once.
        disk_read_bytes, disk_written_bytes: of the process and its children, on disks and not in caches.
        network_received_bytes, network_sent_bytes: of the whole machine, without the loopback.
    """

    at: float
    cpu_seconds: float
    memory_bytes: int
    disk_read_bytes: int | None
    disk_written_bytes: int | None
    network_received_bytes: int | None
    network_sent_bytes: int | None


def usage() -> Usage:
    """Measure this process and its children."""
    import psutil

    cpu, memory, read, written, disk_known = 0.0, 0, 0, 0, True
    for process, is_child in _tree(psutil):
        try:
            with process.oneshot():
                cpu += sum(process.cpu_times()[:4])
                memory += _own_memory(process.memory_info(), is_child)
                if disk_known:
                    disk = process.io_counters()
                    read, written = read + disk.read_bytes, written + disk.write_bytes
        except psutil.NoSuchProcess:
            # It ended meanwhile, and counts with its parent from now on.
            continue
        except (AttributeError, psutil.AccessDenied, NotImplementedError):
            disk_known = False
    received, sent = _network(psutil)
    return Usage(
        time.monotonic(), cpu, memory,
        read if disk_known else None, written if disk_known else None, received, sent,
    )  # fmt: skip


def _tree(psutil: Any) -> Iterator[tuple[Any, bool]]:
    """Yield this process, then its children and theirs."""
    own = psutil.Process()
    yield own, False
    if not Path("/proc/thread-self/children").exists():
        for child in own.children(recursive=True):
            yield child, True
        return
    for pid in _descendants(own.pid):
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid), True


def _descendants(pid: int) -> Iterator[int]:
    """Yield the ids of a process's children, and of theirs, as Linux lists them for each thread.

    psutil looks at every process of the machine to find them, which takes most of a measurement.
    """
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in _children_of(thread):
                yield child
                yield from _descendants(child)


def _children_of(thread: Path) -> list[int]:
    with suppress(OSError):  # the thread has ended
        return [int(child) for child in (thread / "children").read_text().split()]
    return []


def _own_memory(memory: Any, is_child: bool) -> int:
    shared = getattr(memory, "shared", 0) if is_child else 0
    return max(0, int(memory.rss) - int(shared))


def _network(psutil: Any) -> tuple[int | None, int | None]:
    try:
        cards = psutil.net_io_counters(pernic=True)
    except (OSError, AttributeError, RuntimeError):
        return None, None
    others = [card for name, card in cards.items() if not name.startswith("lo")]
    return sum(card.bytes_recv for card in others), sum(card.bytes_sent for card in others)
