"""The store of replaced files, from outside of training: what is kept, why, what it takes; what can go."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, select

from tracker.checkpointing import registry, store
from tracker.checkpointing.retention import kept_in_store
from tracker.files import sync_folder
from tracker.maintenance.checkpoints import committing
from tracker.models import ATTEMPT
from tracker.states import KeepRule, RunStatus
from tracker.storage.database import Location, Reader, reading
from tracker.storage.liveness import is_live
from tracker.storage.spool import spool_files

RECENT_SECONDS = 3600
"""So long a file without a row stays while runs are recorded: one may be about to name it."""


@dataclass(frozen=True)
class Cleaning:
    """What `clean` would leave and delete.

    Attributes:
        kept: what stays in the store, each with the reason; oldest first.
        going: what the rules do not keep.
        unreferenced: files that no checkpoint names, left by a kill.
        bytes_unreferenced: what those take.
        refused: files that could not be deleted, with the reason.
    """

    kept: list[tuple[registry.Checkpoint, str]] = field(default_factory=list)
    going: list[registry.Checkpoint] = field(default_factory=list)
    unreferenced: list[Path] = field(default_factory=list)
    bytes_unreferenced: int = 0
    refused: dict[Path, str] = field(default_factory=dict)

    @property
    def bytes_kept(self) -> int:
        """What stays, in bytes."""
        return sum(one.bytes for one, _ in self.kept)

    @property
    def bytes_going(self) -> int:
        """What goes, in bytes."""
        return sum(one.bytes for one in self.going) + self.bytes_unreferenced


def plan(location: Location, rule: str | None = None, limit: int | None = None) -> Cleaning:
    """Return what the store has, and what of it need not stay.

    Args:
        location: the database.
        rule: "best", "run" or "none" for all files; None for what each was kept by.
        limit: how many bytes may stay.
    """
    with reading(location) as reader:
        if reader.empty:
            return Cleaning()
        files = store.stored(reader.connection, location)
        unreferenced = _unreferenced(reader)
    facts = [
        one.facts if rule is None else one.facts._replace(rule=KeepRule(rule)) for one in files
    ]
    reasons = kept_in_store(facts, limit)
    checkpoints = [one.checkpoint for one in files]
    return Cleaning(
        kept=[(one, reasons[one.id]) for one in checkpoints if one.id in reasons],
        going=[one for one in checkpoints if one.id not in reasons],
        unreferenced=unreferenced,
        bytes_unreferenced=size_of(unreferenced),
    )


def clean(location: Location, planned: Cleaning) -> Cleaning:
    """Delete what was planned; returns what is kept now, and what was deleted."""
    gone, reasons = store.evict(planned.going, committing(location))
    refused = {one.path: reasons[one.id] for one in planned.going if one.id in reasons}
    left = {path: store.remove_unreferenced(path) for path in planned.unreferenced}
    refused |= {path: reason for path, reason in left.items() if reason is not None}
    deleted = [path for path, reason in left.items() if reason is None]
    if deleted:
        sync_folder(store.folder_of(location))
    freed = planned.bytes_unreferenced - size_of(set(left) - set(deleted))
    return Cleaning(planned.kept, gone, deleted, freed, refused)


def _unreferenced(reader: Reader) -> list[Path]:
    """Return the files that no checkpoint names and no process is about to name."""
    location = reader.location
    if spool_files(location):
        # What waits there may name them.
        return []
    files = store.unreferenced(reader.connection, location)
    if not _is_recorded(reader.connection):
        return files
    oldest = time.time() - RECENT_SECONDS
    return [path for path in files if _linked_at(path) < oldest]


def _is_recorded(connection: Connection) -> bool:
    running = select(ATTEMPT).where(ATTEMPT.c.status == RunStatus.RUNNING)
    return any(is_live(connection, attempt) for attempt in connection.execute(running))


def _linked_at(path: Path) -> float:
    """Return when a file got its last name, in seconds since 1970."""
    try:
        return path.stat(follow_symlinks=False).st_ctime
    except OSError:
        return time.time()


def size_of(paths: Iterable[Path]) -> int:
    """Return how many bytes files take, one with several names once."""
    sizes: dict[tuple[int, int], int] = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat(follow_symlinks=False)
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


def totals(location: Location) -> tuple[int, int]:
    """Return how many files the store has, and how many bytes they take."""
    files = store.files_in(location)
    return len(files), size_of(files)
