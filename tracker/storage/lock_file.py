"""The lock file beside an SQLite database: who holds it writes, one at a time, and served in turn."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from filelock import FileLock, Timeout

from tracker.storage.location import Location

try:
    import fcntl
except ImportError:  # Windows: filelock opens the file each time
    fcntl = None  # type: ignore[assignment]

_POLL_SECONDS = 0.002
_COURTESY_SECONDS = 0.5
_FORK_SECONDS = 0.5
"""A fork waits for writes no longer: one that hangs holds up no training."""
_FORK_POLL_SECONDS = 0.001


class _Commands(NamedTuple):
    """Of fcntl: to ask for a lock that belongs to an open file and not to a process, and to set one."""

    get: int
    set: int


_OFD = _Commands(fcntl.F_OFD_GETLK, fcntl.F_OFD_SETLK) if hasattr(fcntl, "F_OFD_SETLK") else None
_FLOCK = struct.Struct("hhqqi4x")
"""Linux's struct flock with 64 bits: kind, from where, start, length, pid."""


def _is_free(descriptor: int, until: int) -> bool:
    """Whether no other open file has locked a byte of this one before a place; 0: any byte."""
    if _OFD is None:
        return True
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, until, 0)
    answer = fcntl.fcntl(descriptor, _OFD.get, asked)
    return bool(_FLOCK.unpack(answer)[0] == fcntl.F_UNLCK)


class _Place:
    """A place in the queue before a lock: a lock on one byte of its file, at the time when the wait began.

    The system drops it with the process. It is a courtesy, for which nobody waits longer than `_COURTESY_SECONDS`: one
    that is stopped in the queue must not hold up the others. Where the system has no such locks (Linux does), nobody
    is in turn.
    """

    def __init__(self) -> None:
        self._began = time.monotonic_ns()
        self._is_taken = False

    def is_first(self, descriptor: int) -> bool:
        """Whether nobody waits who came earlier, or it has been so for too long."""
        waited = time.monotonic_ns() - self._began
        return waited > _COURTESY_SECONDS * 1e9 or _is_free(descriptor, self._byte)

    def wait(self, descriptor: int) -> None:
        """Stand in the queue, and sleep a little."""
        if not self._is_taken:
            self._set(descriptor, fcntl.F_WRLCK)
            self._is_taken = True
        time.sleep(_POLL_SECONDS)

    def leave(self, descriptor: int) -> None:
        """Leave the queue."""
        if self._is_taken:
            self._set(descriptor, fcntl.F_UNLCK)
            self._is_taken = False

    def _set(self, descriptor: int, kind: int) -> None:
        if _OFD is None:
            return
        # Of two that came in the same microsecond, one goes without a place.
        with suppress(OSError):
            fcntl.fcntl(descriptor, _OFD.set, _FLOCK.pack(kind, os.SEEK_SET, self._byte, 1, 0))

    @property
    def _byte(self) -> int:
        return self._began // 1000


class _Forks:
    """Keeps forks of this process and its writes apart; a thread may fork within a write of its own.

    SQLite keeps the locks of a process in its memory. A child that is forked while another thread writes gets a copy
    of them, and nobody in the child lets them go: it waits for itself, for ever, and keeps our lock file from its
    parent.
    """

    def __init__(self) -> None:
        self._writing: dict[object, int] = {}
        self._forking: list[int] = []
        self._passed = threading.Event()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before, after_in_parent=self._after, after_in_child=self._in_child
            )

    def begin(self, writer: object) -> None:
        """Note that this thread writes from now on, once no other one is about to fork."""
        mine = threading.get_ident()
        self._writing[writer] = mine
        while any(thread != mine for thread in self._forking):
            del self._writing[writer]
            self._passed.wait(_FORK_SECONDS)
            self._writing[writer] = mine

    def end(self, writer: object) -> None:
        """Note that the writer has ended; a second time changes nothing."""
        self._writing.pop(writer, None)

    def _before(self) -> None:
        mine = threading.get_ident()
        self._passed.clear()
        self._forking.append(mine)
        give_up = time.monotonic() + _FORK_SECONDS
        while any(thread != mine for thread in list(self._writing.values())):
            if time.monotonic() > give_up:
                break
            time.sleep(_FORK_POLL_SECONDS)

    def _after(self) -> None:
        self._forking.remove(threading.get_ident())
        if not self._forking:
            self._passed.set()

    def _in_child(self) -> None:
        self._writing.clear()
        self._forking.clear()
        # Another thread of the parent may have held the lock of the old one.
        self._passed = threading.Event()


_FORKS = _Forks()


class Lock:
    """The lock of a database; does nothing for a server, which has its own locks.

    Who waits is served in turn, see `_Place`: else one that writes without a pause has the lock again before the
    others wake up, and of 32 writers some wait for more than a second.

    Its descriptor is kept between two transactions, which saves opening a file for each. That needs two guards:
    the file may have been replaced or deleted, so that others lock another one; and a fork shares a descriptor and
    its lock, so that a child must neither hold on to it nor release it. No other thread forks while it is held, see
    `_Forks`.
    """

    def __init__(self, location: Location) -> None:
        self._path = None if location.path is None else f"{location.path}.lock"
        self._descriptor = -1
        self._file = 0, 0
        self._process = 0
        self._opened_anew: FileLock | None = None
        self.is_held = False

    @property
    def is_open(self) -> bool:
        """Whether the file is open in this process already."""
        return self._descriptor >= 0 and self._process == os.getpid()

    @contextmanager
    def held(self, patience: float) -> Iterator[None]:
        """Hold the lock; raises as `acquire` does."""
        try:
            self.acquire(patience)
            yield
        finally:
            self.release()

    def acquire(self, patience: float) -> None:
        """Take the lock; on any error, Ctrl-C included, `release` leaves nothing behind.

        Raises:
            Timeout: filelock's; others held it for longer than ``patience`` seconds.
            OSError: the file cannot be opened or made.
        """
        if self._path is None:
            pass
        elif fcntl is None:
            lock = FileLock(self._path, mode=0o600, thread_local=False)
            lock.acquire(max(0.0, patience), poll_interval=_POLL_SECONDS)
            self._opened_anew = lock
        else:
            try:
                self._acquire(self._path, time.monotonic() + patience)
            except BaseException:  # Ctrl-C may come when it is locked already
                self.close()
                raise
        self.is_held = True
        if self._path is not None:
            _FORKS.begin(self)

    def release(self) -> None:
        """Let the lock go where this process holds it."""
        self.is_held = False
        _FORKS.end(self)
        if self._opened_anew is not None:
            self._opened_anew.release()
            self._opened_anew = None
        # After a fork in the block, the lock is the parent's.
        elif self.is_open:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _acquire(self, path: str, give_up: float) -> None:
        place: _Place | None = None
        while True:
            if not self.is_open:
                self._open(path)
                place = None
            descriptor = self._descriptor
            is_first = _is_free(descriptor, 0) if place is None else place.is_first(descriptor)
            if is_first and self._is_had():
                if place is not None:
                    place.leave(descriptor)
                if self._is_at(path):
                    return
                self.close()
            elif time.monotonic() >= give_up:
                raise Timeout(path)
            else:
                place = place or _Place()
                place.wait(descriptor)

    def _is_had(self) -> bool:
        """Take the lock if it is free."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _open(self, path: str) -> None:
        self.close()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self._process = os.getpid()
        opened = os.fstat(self._descriptor)
        self._file = opened.st_dev, opened.st_ino

    def _is_at(self, path: str) -> bool:
        """Whether the path still names the file that is open."""
        try:
            return file_id_at(path) == self._file
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Close the file, and release the lock where this process holds it; it is opened again when it is needed.

        A child that closes its copy leaves the parent's lock alone.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def file_id_at(path: str) -> tuple[int, int]:
    """Return the device and inode of the file at a path; raises OSError if there is none."""
    status = os.stat(path)  # noqa: PTH116 - a Path takes three times as long, and each epoch asks
    return status.st_dev, status.st_ino
