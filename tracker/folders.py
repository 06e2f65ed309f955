"""A folder as one checkpoint, as sharded and Hugging Face checkpoints are: a manifest stands for its files.

Its hash is that of its manifest, which lists each file as ``sha256sum`` does; in the folder,
``find * -type f | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum`` prints the same.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tracker.errors import CheckpointError
from tracker.files import (
    SavedFile,
    absolute,
    discard,
    inspect_file,
    is_same,
    shared_folder,
    sync_folder,
    sync_path,
    temporary_path,
)
from tracker.identity import files_in, identity_of_folder


def inspect_path(path: str | os.PathLike[str]) -> SavedFile | None:
    """Read size and hash of a regular file, or of all files in a folder; None for anything else, a link included."""
    target = absolute(path)
    if target.is_dir() and not target.is_symlink():
        return _inspect_folder(target)
    return inspect_file(target)


def _inspect_folder(folder: Path) -> SavedFile | None:
    """Return the folder with the bytes of all files and the hash of the manifest; None where it has no files.

    A link within is known by where it leads, and not followed. A folder with a pipe, a device or a file that
    cannot be read is not a checkpoint; empty folders within do not count.
    """
    try:
        # Before they are read: what changes meanwhile is not the folder that was read.
        identity = identity_of_folder(folder)
    except OSError:
        return None
    hashes, total = [], 0
    for name, path in sorted(files_in(folder)):
        if path.is_symlink():
            text = os.fsencode(path.readlink())
            size, sha256 = len(text), hashlib.sha256(text).hexdigest()
        elif (file := inspect_file(path)) is not None:
            size, sha256 = file.bytes, file.sha256
        else:
            return None
        hashes.append((name, sha256))
        total += size
    return SavedFile(folder, total, manifest(hashes), identity=identity) if hashes else None


def manifest(hashes: Iterable[tuple[bytes, str]]) -> str:
    """Return the hash of a folder's manifest, of the relative name and the hex SHA-256 of each of its files."""
    digest = hashlib.sha256()
    for name, sha256 in sorted(hashes):
        digest.update(sha256.encode() + b"  " + name + b"\n")
    return digest.hexdigest()


def copy_folder(source: Path, target: Path, recorded: Any) -> SavedFile:
    """Copy a folder to ``target``, whole and as it was recorded, or not at all; a folder there is replaced.

    Raises:
        CheckpointError: the folder is not the one that was recorded; ``target`` is as it was.
        OSError: it cannot be read or written.
    """

    def copy(temporary: Path) -> None:
        shutil.copytree(source, temporary, symlinks=True)

    return save_folder(target, copy, recorded, str(source))


def save_folder(
    target: Path, save: Callable[[Path], object], recorded: Any, source: str
) -> SavedFile:
    """Let ``save`` make a folder, which gets its name if it is the one that was recorded.

    Args:
        target: where it goes; a folder there is replaced.
        save: called with a temporary path in the same folder.
        recorded: the bytes and the sha256 that it must have.
        source: where it comes from, for the message.

    Raises:
        CheckpointError: it is another one; ``target`` is as it was.
        OSError: it cannot be read or written.
    """
    temporary = temporary_path(target)
    try:
        shared_folder(target.parent)
        save(temporary)
        copied = inspect_path(temporary)
        if copied is None or not is_same(copied, recorded):
            raise CheckpointError(
                f"The folder {source} is not the one that was saved (size or SHA-256 differ): "
                f"{target} was not written."
            )
        _sync(temporary)
        _make_way(target)
        temporary.rename(target)
        sync_folder(target.parent)
    finally:
        discard(temporary)
    return SavedFile(target, copied.bytes, copied.sha256)


def _make_way(target: Path) -> None:
    """Delete what has a name, whatever it is; a folder leaves its place in one move.

    A kill in between leaves a temporary folder, which is swept, and never half a checkpoint.
    """
    if not target.is_dir() or target.is_symlink():
        target.unlink(missing_ok=True)
        return
    leaving = temporary_path(target)
    target.rename(leaving)
    discard(leaving)


def _sync(folder: Path) -> None:
    """Make the files of a folder durable."""
    for _, path in files_in(folder):
        if path.is_symlink():
            continue
        sync_path(path)
    for at, _, _ in os.walk(folder):
        sync_folder(Path(at))
