"""Room on the disk that is kept for pending entries."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

ROOM_BYTES = 512 << 10
"""What is kept free for pending entries: those of about 1 500 epochs with a few metrics."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a disk says that is full, or that has no more for this user."""


class Room:
    """Room on the disk that a spool can give up when the disk is full, so that it can still be written.

    It is a file without a name: nothing is left of it when the process is killed. Where the file system cannot
    reserve any, or has none, there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = -1
        with suppress(OSError, AttributeError):
            self._descriptor = _nameless(folder)
        self.keep()

    def keep(self) -> None:
        """Reserve the room, again where it was given up."""
        if self._descriptor < 0:
            return
        try:
            os.posix_fallocate(self._descriptor, 0, ROOM_BYTES)
        except (OSError, AttributeError):
            self.give_up()

    def give_up(self) -> bool:
        """Free the room; returns whether there was some."""
        if self._descriptor < 0:
            return False
        try:
            some = os.fstat(self._descriptor).st_size > 0
            os.ftruncate(self._descriptor, 0)
        except OSError:
            return False
        return some

    def close(self) -> None:
        """Reserve nothing any more."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _nameless(folder: Path) -> int:
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        # Not every file system can; there the name is gone at once.
        path = folder / f".room-{os.getpid()}-{threading.get_ident()}"
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        path.unlink()
        return descriptor
