"""Save a file so that a kill or a power loss leaves the old one or the new one, whole.

Temporary file in the same folder → save → fsync → sha256 → rename → fsync of the folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_IMODE, S_ISDIR, S_ISLNK, S_ISREG
from typing import Any
from zlib import crc32

from tracker import process
from tracker.errors import CheckpointError, NotWritable

PREFIX = ".tracker-"
_TEMPORARY = re.compile(re.escape(PREFIX) + r"(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]+)-[0-9a-f]{8}-")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class SavedFile:
    """A complete file: absolute path, size in bytes, hex SHA-256."""

    path: Path
    bytes: int
    sha256: str


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
    target = Path(os.path.abspath(path))  # noqa: PTH100 - keep links as the user wrote them
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
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


def discard(temporary: Path) -> None:
    """Remove a temporary file, or the folder that was made in its place."""
    try:
        temporary.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):
        shutil.rmtree(temporary, ignore_errors=True)
    except OSError:
        pass  # the error that brought us here says more


def temporary_path(path: Path) -> Path:
    """Return a path beside it that says whose it is, so that it is swept only after its process is gone.

    It ends as ``path`` does; a long name keeps its end.
    """
    name = path.name
    ending = name if len(os.fsencode(name)) < 200 else name[-40:]
    return path.with_name(f"{PREFIX}{_host_tag()}-{os.getpid()}-{secrets.token_hex(4)}-{ending}")


def _host_tag() -> str:
    """Name this machine and its pid namespace: containers may share a host name and a folder."""
    me = process.me()
    return f"{crc32(f'{me.host} {me.pid_namespace}'.encode()):08x}"


def leftovers(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the temporary files in a folder: those of this host's processes that are gone, and those of other hosts.

    Whether a process of another host (or container) lives cannot be asked from here.
    """
    gone: list[Path] = []
    elsewhere: list[Path] = []
    try:
        names = sorted(folder.glob(f"{PREFIX}*"))
    except OSError:
        return gone, elsewhere
    for path in names:
        owner = _TEMPORARY.match(path.name)
        if owner is None:
            continue
        if owner["host"] != _host_tag():
            elsewhere.append(path)
        elif not process.exists(int(owner["pid"])):
            gone.append(path)
    return gone, elsewhere


def sweep(folder: Path) -> list[Path]:
    """Remove a folder's temporary files of this host's processes that are gone; returns them."""
    swept, _ = leftovers(folder)
    for path in swept:
        discard(path)
    return swept


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
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size, _digest(descriptor)
    finally:
        os.close(descriptor)


def _digest(descriptor: int) -> str:
    digest = hashlib.sha256()
    os.lseek(descriptor, 0, os.SEEK_SET)
    while chunk := os.read(descriptor, _CHUNK):
        digest.update(chunk)
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
    target = Path(os.path.abspath(path))  # noqa: PTH100
    try:
        # Without O_NONBLOCK a pipe would wait for its writer.
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not S_ISREG(status.st_mode):
            return None
        return SavedFile(target, status.st_size, _digest(descriptor))
    finally:
        os.close(descriptor)


def is_same(file: SavedFile | None, recorded: Any) -> bool:
    """Say whether a file is the one that was recorded, by the ``bytes`` and ``sha256`` of both."""
    return file is not None and (file.bytes, file.sha256) == (recorded.bytes, recorded.sha256)


def private_folder(folder: Path) -> None:
    """Create a folder, and those above it that are missing, for this user alone."""
    if not folder.parent.is_dir():
        private_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in a folder survive power loss."""
    # Windows cannot open a folder.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
