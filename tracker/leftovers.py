"""Temporary files in the user's folders: their names say whose they are, so that what a kill leaves is known."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from pathlib import Path
from zlib import crc32

from tracker import process

PREFIX = ".tracker-"
_OWN_NAME = re.compile(re.escape(PREFIX) + r"(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]+)-[0-9a-f]{8}[-~]")


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
    return path.with_name(f"{own_name()}-{ending}")


def own_name() -> str:
    """Return what a name of this process begins with, that no other name does."""
    return f"{PREFIX}{_host_tag()}-{os.getpid()}-{secrets.token_hex(4)}"


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
        owner = _OWN_NAME.match(path.name)
        if owner is None:
            continue
        if owner["host"] != _host_tag():
            elsewhere.append(path)
        elif not process.exists(int(owner["pid"])):
            gone.append(path)
    return gone, elsewhere
