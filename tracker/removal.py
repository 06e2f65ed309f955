"""Delete the very file or folder that was read, and nothing that has taken its name since.

No system call deletes a name on the condition that it is a certain file's. So whatever has the name is moved aside
first, under a name of ours that says which file it should be; there it is compared, and then deleted or put back.
After a kill in between, `sweep` does the same by that name.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR

from tracker.identity import Identity, identity_of, identity_of_folder
from tracker.leftovers import PREFIX, discard, leftovers, own_name, temporary_path

_ASIDE = re.compile(
    re.escape(PREFIX) + r"[0-9a-f]{8}-[0-9]+-[0-9a-f]{8}~(?P<token>[0-9a-f]{16})~(?P<name>.+)",
    re.DOTALL,
)


def remove(path: Path, identity: Identity | None) -> None:
    """Delete the very file or folder that was read, as its identity says; of None, nothing.

    The folder that it is in is held open meanwhile, so that one that is swapped for a link leads nowhere else.

    Raises:
        FileNotFoundError: there is no such file any more.
        OSError: another one has its name, which is left alone; or it cannot be deleted.
    """
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        status = os.stat(path.name, dir_fd=parent, follow_symlinks=False)
        if identity is None or not _may_be(identity, status):
            raise _taken(path)
        aside = _aside(path, identity)
        os.rename(path.name, aside.name, src_dir_fd=parent, dst_dir_fd=parent)
        try:
            if _identity(aside, parent) != identity:
                raise _taken(path)
            _delete(aside, parent)
        except BaseException:
            # Ctrl-C may come when it is deleted already. Whatever cannot be put back now, `sweep` will.
            with suppress(OSError):
                _put_back(aside.name, path, parent)
            raise
    finally:
        os.close(parent)


def sweep(folder: Path) -> list[Path]:
    """Remove a folder's temporary files of this host's processes that are gone; returns them.

    What was moved aside to be deleted, and is another file, gets its name again.
    """
    swept, _ = leftovers(folder)
    for path in swept:
        if (aside := _ASIDE.fullmatch(path.name)) is None:
            discard(path)
        else:
            with suppress(OSError):
                _finish(path, aside["token"], aside["name"])
    return swept


def _finish(aside: Path, token: str, name: str) -> None:
    """Delete what a process that is gone has moved aside, or put it back where it is another file.

    Raises:
        OSError: neither can be done.
    """
    parent = os.open(aside.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        identity = _identity(aside, parent)
        if identity is not None and _token(identity) == token:
            _delete(aside, parent)
        else:
            _put_back(aside.name, aside.with_name(name), parent)
    finally:
        os.close(parent)


def _taken(path: Path) -> OSError:
    return OSError(errno.ESTALE, "another one has taken its name", str(path))


def _may_be(identity: Identity, now: os.stat_result) -> bool:
    """Say whether a name is worth moving aside, by what can be seen of it at once."""
    seen = 2 if S_ISDIR(now.st_mode) else None
    return identity_of(now)[:seen] == identity[:seen]


def _aside(path: Path, identity: Identity) -> Path:
    """Return the name aside, which says what should have it; a long name keeps its end."""
    ending = path.name if len(os.fsencode(path.name)) < 180 else path.name[-40:]
    return path.with_name(f"{own_name()}~{_token(identity)}~{ending}")


def _token(identity: Identity) -> str:
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


def _identity(path: Path, parent: int) -> Identity | None:
    """Return what a file or a folder is; None for a folder that cannot be looked through."""
    status = os.stat(path.name, dir_fd=parent, follow_symlinks=False)
    if not S_ISDIR(status.st_mode):
        return identity_of(status)
    try:
        return identity_of_folder(path)
    except OSError:
        return None


def _delete(aside: Path, parent: int) -> None:
    """Delete what is aside; a folder gets a temporary name first, as half of one is never put back."""
    status = os.stat(aside.name, dir_fd=parent, follow_symlinks=False)
    if not S_ISDIR(status.st_mode):
        os.unlink(aside.name, dir_fd=parent)
        return
    leaving = temporary_path(aside.with_name("folder"))
    os.rename(aside.name, leaving.name, src_dir_fd=parent, dst_dir_fd=parent)
    discard(leaving)


def _put_back(aside: str, path: Path, parent: int) -> None:
    """Give what is aside its name again; one beside it, where something else has that by now."""
    name = path.name
    if os.path.lexists(path):
        name = f"{path.stem}-{secrets.token_hex(4)}{path.suffix}"
    try:
        # Fails where the name has just been taken, unlike a rename.
        os.link(aside, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    except FileExistsError:
        _put_back(aside, path, parent)
    except OSError:
        # A folder, or a file system without hard links.
        os.rename(aside, name, src_dir_fd=parent, dst_dir_fd=parent)
    else:
        os.unlink(aside, dir_fd=parent)
