"""What processes that are gone have left in folders: half-written files, and what was about to be deleted."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from tracker import process
from tracker.files import PREFIX, discard, host_tag
from tracker.removal import finish, is_aside

_OWN_NAME = re.compile(re.escape(PREFIX) + r"(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]+)-[0-9a-f]{8}[-~]")


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
        if owner["host"] != host_tag():
            elsewhere.append(path)
        elif not process.exists(int(owner["pid"])):
            gone.append(path)
    return gone, elsewhere


def sweep(folder: Path) -> list[Path]:
    """Remove a folder's temporary files of this host's processes that are gone; returns them.

    What was moved aside to be deleted, and is another file, gets its name again.
    """
    swept, _ = leftovers(folder)
    for path in swept:
        if is_aside(path):
            with suppress(OSError):
                finish(path)
        else:
            discard(path)
    return swept
