"""The lock file beside an SQLite database: one writer at a time, beside SQLite's own locks.

Its descriptor is kept between two transactions, which saves opening a file for each. Kept descriptors need two
guards: the file may have been replaced or deleted (a copied folder, a clean-up), so that others lock another one;
and a fork shares a descriptor and its lock, so that a child must neither hold on to it nor release it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tracker.storage.location import Location

try:
    import fcntl
except ImportError:  # Windows: filelock opens the file each time
    fcntl = None  # type: ignore[assignment]

_POLL_SECONDS = 0.002


class Lock:
    """The lock of a database; does nothing for a server, which has its own locks."""

    def __init__(self, location: Location) -> None:
        self._path = None if location.path is None else Path(f"{location.path}.lock")
        self._descriptor = -1
        self._process = 0

    @contextmanager
    def held(self, patience: float) -> Iterator[None]:
        """Hold the lock.

        Raises:
            Timeout: filelock's; others held it for longer than ``patience`` seconds.
            OSError: the file cannot be opened or made.
        """
        if self._path is None:
            yield
        elif fcntl is None:
            lock = FileLock(self._path, mode=0o600, thread_local=False)
            with lock.acquire(max(0.0, patience), poll_interval=_POLL_SECONDS):
                yield
        else:
            try:
                descriptor = self._acquire(self._path, time.monotonic() + patience)
            except BaseException:  # Ctrl-C may come when it is locked already
                self.close()
                raise
            try:
                yield
            finally:
                # After a fork in the block, the lock is the parent's.
                if self._process == os.getpid():
                    fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _acquire(self, path: Path, give_up: float) -> int:
        while True:
            if self._descriptor < 0 or self._process != os.getpid():
                self._open(path)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= give_up:
                    raise Timeout(str(path)) from None
                time.sleep(_POLL_SECONDS)
                continue
            if self._is_at(path):
                return self._descriptor
            self.close()

    def _open(self, path: Path) -> None:
        self.close()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self._process = os.getpid()

    def _is_at(self, path: Path) -> bool:
        """Whether the path still names the file that is open."""
        try:
            there, here = path.stat(), os.fstat(self._descriptor)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

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
