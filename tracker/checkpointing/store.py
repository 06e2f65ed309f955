"""The store: bytes of registered files whose names later runs have taken, in the data folder.

A file gets its second name there before the first one is taken, so that at every moment a row that is
available names bytes with its hash. `tracker.checkpointing.retention.kept_in_store` says which stay.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from sqlalchemy import Connection, or_, select

from tracker import values
from tracker.checkpointing import registry
from tracker.checkpointing.retention import OLDEST_FIRST, Stored, kept_in_store
from tracker.errors import BadValue
from tracker.files import (
    SavedFile,
    inspect_file,
    is_unchanged,
    keep_bytes,
    private_folder,
    sync_folder,
)
from tracker.ids import new_id
from tracker.models import CHECKPOINT, POLICY, RUN
from tracker.policies import validation
from tracker.policies.modes import mode_in
from tracker.removal import remove
from tracker.states import CheckpointState, KeepRule
from tracker.storage.directions import Directions
from tracker.storage.entries import Entry
from tracker.storage.location import FILE, FOLDER, Location

_NAME = re.compile(r"[0-9a-f]{64}-[0-9a-f]{12}(\.[A-Za-z0-9_]+){0,2}")
_SUFFIX = re.compile(r"(\.weights)?\.[A-Za-z0-9_]{1,16}$")


@dataclass(frozen=True)
class Keeping:
    """What a run keeps of the files of other runs that it replaces.

    Attributes:
        rule: which of them.
        limit: how many bytes all files in the store may take; None for no limit.
    """

    rule: KeepRule = KeepRule.BEST
    limit: int | None = None


def keeping(rule: str | None, limit: int | str | None) -> Keeping:
    """Return what a run keeps.

    Args:
        rule: "best", "run" or "none"; None for "best".
        limit: bytes, also as text such as "20GB"; None for no limit.

    Raises:
        BadValue: for anything else.
    """
    if rule is None:
        return Keeping(limit=None if limit is None else validation.size(limit))
    if rule not in tuple(KeepRule):
        raise BadValue(
            f"keep is {rule!r}: possible are 'best' (of each experiment), 'run' (the best of each run) "
            f"and 'none'."
        )
    return Keeping(KeepRule(rule), None if limit is None else validation.size(limit))


def folder_of(location: Location) -> Path:
    """Return the store's folder: of its own for each database."""
    if location.path is None:
        name = f"checkpoints-{crc32(location.label().encode()):08x}"
    elif (location.path.parent.name, location.path.name) == (FOLDER, FILE):
        name = "checkpoints"
    else:
        name = f"{location.path.name}-checkpoints"
    return location.data_folder() / name


def keep(
    location: Location,
    path: Path,
    wanted: Callable[[SavedFile], bool],
    *,
    copy: bool = False,
) -> SavedFile | None:
    """Give a file that is about to be replaced a second name in the store, if its bytes are ``wanted``.

    Raises:
        OSError: the store cannot be written, or the file is gone.
    """
    folder = folder_of(location)
    if not folder.is_dir():
        private_folder(folder)
        sync_folder(folder.parent)
    suffix = _SUFFIX.search(path.name)

    def name(file: SavedFile) -> str | None:
        if not wanted(file):
            return None
        return f"{file.sha256}-{new_id()}{suffix[0] if suffix else ''}"

    return keep_bytes(path, folder, name, copy=copy)


class InStore(NamedTuple):
    """A file in the store, as retention and as deletion see it."""

    facts: Stored
    checkpoint: registry.Checkpoint


def stored(connection: Connection, location: Location) -> list[InStore]:
    """Return what the store has, oldest first."""
    rows = list(
        connection.execute(
            select(CHECKPOINT, POLICY.c.config, RUN.c.experiment)
            .join_from(CHECKPOINT, RUN, CHECKPOINT.c.run_id == RUN.c.id)
            .join(POLICY, CHECKPOINT.c.policy_id == POLICY.c.id, isouter=True)
            .where(
                CHECKPOINT.c.kept.is_not(None),
                CHECKPOINT.c.state == CheckpointState.AVAILABLE,
                CHECKPOINT.c.pending.is_(False),
            )
            .order_by(RUN.c.started, RUN.c.id, *OLDEST_FIRST)
        )
    )
    directions = Directions(connection, list({row.run_id for row in rows}))
    return [
        InStore(_facts(row, directions), registry.checkpoint_of(row, location, directions))
        for row in rows
    ]


def _facts(row: Any, directions: Directions) -> Stored:
    return Stored(
        id=row.id,
        run=row.run_id,
        experiment=row.experiment,
        monitor=row.monitor,
        value=values.join(row.value, row.value_kind),
        mode=directions.mode(row.monitor, row.run_id, mode_in(row.config)),
        pinned=row.pinned,
        rule=row.kept,
        bytes=row.bytes,
    )


def superfluous(
    connection: Connection, location: Location, limit: int | None
) -> list[registry.Checkpoint]:
    """Return what is in the store and need not stay there."""
    files = stored(connection, location)
    staying = kept_in_store([one.facts for one in files], limit)
    return [one.checkpoint for one in files if one.checkpoint.id not in staying]


def evict(
    going: Iterable[registry.Checkpoint],
    commit: Callable[[Entry], None],
    known: SavedFile | None = None,
) -> registry.Deletion:
    """Delete files of the store.

    Args:
        going: the checkpoints. Each file is read before it goes, as somebody may have put another one in its place.
        commit: makes an entry durable.
        known: the file that was read when it came into the store just now; it is not read again.
    """
    deletable = []
    refused: dict[str, str] = {}
    for one in going:
        state, file = _inspected(one, known)
        if state == CheckpointState.MODIFIED:
            refused[one.id] = f"its file is {state}"
        else:
            # The row of one that is missing still has to say so.
            deletable.append(registry.Deletable(one, file))
    if not deletable:
        return registry.Deletion([], refused)
    commit(registry.condemned(one.checkpoint for one in deletable))
    gone, undeletable = registry.delete_files(deletable, commit)
    return registry.Deletion(gone, refused | undeletable)


def _inspected(checkpoint: registry.Checkpoint, known: SavedFile | None) -> registry.Inspected:
    """Do what `registry.inspect` does; the file that is ``known`` is read again only where it has changed since."""
    if known is not None and known.path == checkpoint.path and is_unchanged(known):
        return registry.Inspected(CheckpointState.AVAILABLE, known)
    return registry.inspect(checkpoint)


def files_in(location: Location) -> list[Path]:
    """Return the files in the store that have a name of ours."""
    try:
        paths = sorted(folder_of(location).iterdir())
    except OSError:
        return []
    return [path for path in paths if _NAME.fullmatch(path.name)]


def unreferenced(connection: Connection, location: Location) -> list[Path]:
    """Return the files of the store that no checkpoint names: a kill came between their link and their row."""
    files = {location.relative(path): path for path in files_in(location)}
    named = set(connection.scalars(select(CHECKPOINT.c.path).where(is_in_store(location))))
    return [path for stored_path, path in files.items() if stored_path not in named]


def remove_unreferenced(path: Path) -> str | None:
    """Delete a file of the store that no checkpoint names; returns why not, where it is not of ours or cannot go."""
    file = inspect_file(path)
    if file is None and not os.path.lexists(path):
        return None
    if file is None or not path.name.startswith(f"{file.sha256}-"):
        return "its name and its bytes do not fit: it is not a file of the store"
    try:
        remove(path, file.identity)
    except FileNotFoundError:
        pass
    except OSError as error:
        return f"it cannot be deleted: {error.strerror}"
    return None


def is_stored(location: Location, path: Path) -> bool:
    """Say whether a file is in the store."""
    return path.parent == folder_of(location)


def is_in_store(location: Location) -> Any:
    """Return the condition of checkpoints whose path is in the store."""
    prefix = f"{location.relative(folder_of(location))}/"
    return or_(
        CHECKPOINT.c.kept.is_not(None), CHECKPOINT.c.path.startswith(prefix, autoescape=True)
    )
