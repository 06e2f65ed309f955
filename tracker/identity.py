"""What tells a file or a folder from another one that has its name, or from itself after a change."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

Identity = tuple[int, int, int, int]
"""Of a file: device, inode, size and time of change of the bytes, in nanoseconds. Of a folder: device, inode, how
many files it has, and a number made of their identities."""


def identity_of(status: os.stat_result) -> Identity:
    """Return the identity of a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def identity_of_folder(folder: Path) -> Identity:
    """Return the identity of a folder.

    Raises:
        OSError: something in it is gone meanwhile.
    """
    status = folder.stat(follow_symlinks=False)
    files = sorted(files_in(folder))
    known = repr([(name, identity_of(path.stat(follow_symlinks=False))) for name, path in files])
    digest = hashlib.sha256(known.encode()).digest()
    return status.st_dev, status.st_ino, len(files), int.from_bytes(digest[:8])


def files_in(folder: Path) -> Iterator[tuple[bytes, Path]]:
    """Give what is in a folder and those below, links to folders as well, each with its relative name."""
    for at, folders, names in os.walk(folder):
        links = [name for name in folders if Path(at, name).is_symlink()]
        for path in (Path(at, name) for name in (*names, *links)):
            yield os.fsencode(path.relative_to(folder).as_posix()), path
