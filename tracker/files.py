"""Save a file so that a kill or a power loss leaves the old one or the new one, whole.

Temporary file in the same folder → save → fsync → sha256 → rename → fsync of the folder.
"""

from __future__ import annotations

import _thread
import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IMODE, S_ISDIR, S_ISLNK, S_ISREG
from typing import Any

from tracker.errors import CheckpointError, NotWritable
from tracker.identity import Identity, identity_of

# `tracker.files` is the public module: adapters take these from here.
from tracker.leftovers import discard as discard
from tracker.leftovers import leftovers as leftovers
from tracker.leftovers import temporary_path as temporary_path
from tracker.removal import sweep as sweep
from tracker.worker import Job

_CHUNK = 1 << 20


@dataclass(frozen=True)
class SavedFile:
    """A complete file: absolute path, size in bytes, hex SHA-256.

    ``identity`` is what `tracker.removal.remove` asks for, of one that `inspect_file` has read.
    """

    path: Path
    bytes: int
    sha256: str
    identity: Identity | None = field(default=None, kw_only=True, repr=False, compare=False)


@dataclass(frozen=True)
class PreparedFile(SavedFile):
    """A complete file under a temporary name, about to become ``path``."""

    temporary: Path

    def publish(self) -> SavedFile:
        """Give it its name, durably."""
        self.temporary.replace(self.path)
        sync_folder(self.path.parent)
        return SavedFile(self.path, self.bytes, self.sha256)


@contextmanager
def prepared(
    path: str | os.PathLike[str], save: Callable[[Path], object]
) -> Iterator[PreparedFile]:
    """Let ``save`` write a temporary file beside ``path`` and make it durable; `PreparedFile.publish` renames it.

    The temporary name ends as ``path``'s does, because Keras looks at suffixes. What ``save`` raises
    comes out unchanged; the temporary file is removed and ``path`` is as it was.

    Raises:
        CheckpointError: when ``save`` returned without having written the file.
        NotWritable: when the folder cannot be made.
    """
    target = absolute(path)
    try:
        shared_folder(target.parent)
    except OSError as error:
        raise NotWritable(
            f"The folder {target.parent} cannot be made: {error.strerror}."
        ) from error
    mode = _mode_of(target)
    temporary = temporary_path(target)
    try:
        save(temporary)
        size, digest = _synced(temporary, target)
        if mode is not None:
            temporary.chmod(mode)
        yield PreparedFile(target, size, digest, temporary)
    finally:
        discard(temporary)


def _mode_of(target: Path) -> int | None:
    """Return the permissions of the file that is to be replaced; None where it does not exist.

    Raises:
        CheckpointError: a device or a pipe would be replaced by a file.
    """
    try:
        mode = target.stat(follow_symlinks=False).st_mode
    except OSError:
        return None
    if S_ISREG(mode):
        return S_IMODE(mode)
    # A link is replaced; a folder refuses by itself.
    if S_ISLNK(mode) or S_ISDIR(mode):
        return None
    raise CheckpointError(
        f"{target} is a device, a pipe or a socket: saving would put a file in its place. "
        f"Choose another path."
    )


def _synced(temporary: Path, target: Path) -> tuple[int, str]:
    """Make a saved file durable; returns its size and hash."""
    try:
        descriptor = os.open(temporary, os.O_RDWR)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"Saving {target} wrote no file: the function given must write to the path it is called with."
        ) from error
    except IsADirectoryError as error:
        raise CheckpointError(
            f"Saving {target} made a folder: save_checkpoint writes one file. Save the folder under its own name, "
            f"and register it with run.log_checkpoint(path)."
        ) from error
    try:
        with _beside(lambda: os.fsync(descriptor)):
            digest = _digest(descriptor)
        return os.fstat(descriptor).st_size, digest
    finally:
        os.close(descriptor)


@contextmanager
def _beside(work: Callable[[], object]) -> Iterator[None]:
    """Run ``work`` in a thread beside the block; where no thread can start (at exit), after it.

    What it raises is raised at the end of the block.
    """
    job = Job(work)
    try:
        # Not a Thread: when it goes, it runs Python code in this thread that ignores what is raised, as Ctrl-C is.
        _thread.start_new_thread(job.run, ())
    except RuntimeError:
        yield
        work()
        return
    try:
        yield
    except BaseException:
        with suppress(Exception):
            job.wait()
        raise
    job.wait()


def _digest(descriptor: int) -> str:
    digest = hashlib.sha256()
    os.lseek(descriptor, 0, os.SEEK_SET)
    buffer = memoryview(bytearray(_CHUNK))
    while count := os.readv(descriptor, [buffer]):
        digest.update(buffer[:count])
    return digest.hexdigest()


def save_file(path: str | os.PathLike[str], save: Callable[[Path], object]) -> SavedFile:
    """Save one file by the protocol above, without a run; returns its size and hash.

    Args:
        path: where it goes; an existing file is replaced at the very end.
        save: called with the temporary path; writes the file there.
    """
    with prepared(path, save) as file:
        return file.publish()


def save_link(path: Path, target: Path) -> None:
    """Let ``path`` point to ``target`` by a relative link; copy where links cannot be made.

    An older link or file is replaced in one move.

    Raises:
        OSError: the folder cannot be written.
    """
    temporary = temporary_path(path)
    try:
        try:
            temporary.symlink_to(os.path.relpath(target, path.parent))
        except (OSError, NotImplementedError):
            shutil.copyfile(target, temporary)
        temporary.replace(path)
    finally:
        discard(temporary)


def inspect_file(path: str | os.PathLike[str]) -> SavedFile | None:
    """Read size and hash of a regular file; None for anything else, a folder and a link included."""
    target = absolute(path)
    try:
        # Without O_NONBLOCK a pipe would wait for its writer.
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            return None
        digest = _digest(descriptor)
        return SavedFile(target, status.st_size, digest, identity=identity_of(status))
    finally:
        os.close(descriptor)


def is_unchanged(file: SavedFile) -> bool:
    """Say whether a file is the one that was read, by its ``identity``, without reading it again."""
    try:
        return identity_of(file.path.stat(follow_symlinks=False)) == file.identity
    except OSError:
        return False


def keep_bytes(
    source: Path, folder: Path, name: Callable[[SavedFile], str | None], *, copy: bool = False
) -> SavedFile | None:
    """Give the bytes of a regular file a second name, durably; returns what has it.

    By a hard link, which takes no room; where that cannot be, by a reflink or a copy.

    Args:
        source: the file.
        folder: where the second name goes.
        name: returns it for what was read; None: these bytes are not wanted, and None is returned.
        copy: never by a hard link: ``source`` is about to be written in place.

    Raises:
        OSError: there is no such file, or the folder cannot be written.
    """
    aside = temporary_path(folder / source.name)
    try:
        if copy or not _linked(source, aside):
            _copied(source, aside)
        read = inspect_file(aside)
        chosen = None if read is None else name(read)
        if read is None or chosen is None:
            return None
        target = folder / chosen
        aside.replace(target)
        sync_folder(folder)
        return SavedFile(target, read.bytes, read.sha256, identity=read.identity)
    finally:
        # Also after the rename: between two names of one file it does nothing.
        discard(aside)


def _linked(source: Path, target: Path) -> bool:
    """Make a hard link; say whether that can be."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except (OSError, NotImplementedError):
        return False
    return True


def _copied(source: Path, target: Path) -> None:
    """Copy a regular file, by sharing its blocks where the file system can."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as old:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(source))
        with target.open("xb") as new:
            if not _cloned(old.fileno(), new.fileno()):
                shutil.copyfileobj(old, new, _CHUNK)
            os.fchmod(new.fileno(), S_IMODE(status.st_mode))
            new.flush()
            os.fsync(new.fileno())


_CLONE = 0x40049409
"""FICLONE of linux/fs.h."""


def _cloned(source: int, target: int) -> bool:
    """Let two files share their blocks; say whether that can be."""
    try:
        import fcntl

        fcntl.ioctl(target, _CLONE, source)
    except (ImportError, OSError):
        return False
    return True


def path_part(text: str) -> str:
    """Return a name as one part of a path: what cannot be in one is a ``-``, and it is never ``..`` or hidden."""
    part = re.sub(r"[^\w.=+-]+", "-", text).lstrip(".-")[:100].rstrip(".")
    return part or "_"


def is_same(file: SavedFile | None, recorded: Any) -> bool:
    """Say whether a file is the one that was recorded, by the ``bytes`` and ``sha256`` of both."""
    return file is not None and (file.bytes, file.sha256) == (recorded.bytes, recorded.sha256)


def private_folder(folder: Path) -> None:
    """Create a folder, and those above it that are missing, for this user alone."""
    _make_folder(folder, 0o700)


def shared_folder(folder: Path) -> None:
    """Create a folder, and those above it that are missing, each on disk when this returns."""
    _make_folder(folder, 0o777)


def _make_folder(folder: Path, mode: int) -> None:
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        _make_folder(folder.parent, mode)
    folder.mkdir(mode=mode, exist_ok=True)
    # A folder survives a power loss when its name in the folder above does. One that may not be listed cannot
    # be opened for that.
    with suppress(PermissionError):
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in a folder survive power loss."""
    sync_path(folder)


def sync_path(path: Path, flags: int = os.O_RDONLY) -> None:
    """Make what a file or a folder holds survive power loss; it is opened with ``flags`` for that."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path that keeps links as the user wrote them."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow them
