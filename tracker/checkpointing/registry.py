"""Checkpoints: what is registered, whether it is intact, what may be deleted.

A row in state ``available`` names a complete file with that size and hash, at every moment: a file
that is about to be replaced or removed loses the state first, and what a kill leaves in between is
``pending`` until `tracker.checkpointing.recovery.reconcile` has looked at the file. We never unpickle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from tracker import values
from tracker.checkpointing.retention import available, protected
from tracker.checkpointing.signature_file import remove_signature
from tracker.clock import RisingClock
from tracker.files import SavedFile, is_same, sync_folder
from tracker.folders import inspect_path
from tracker.models import CHECKPOINT
from tracker.policies.modes import mode_in
from tracker.removal import remove
from tracker.states import CheckpointState
from tracker.storage.directions import Directions
from tracker.storage.entries import CheckpointRow, CheckpointStateEntry, Entry, checkpoint_state
from tracker.storage.location import Location

_clock = RisingClock()
"""The order of the checkpoints of an attempt, which decides which one is the last."""


@dataclass(frozen=True)
class Checkpoint:
    """One saved file, or one folder. ``path`` is absolute; ``value`` is that of ``monitor`` when it was saved."""

    id: str
    path: Path
    bytes: int
    sha256: str
    epoch: int | None = None
    step: int | None = None
    monitor: str | None = None
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    state: str = CheckpointState.AVAILABLE
    pinned: bool = False
    policy_id: str | None = None
    mode: str | None = field(default=None, compare=False)
    """How ``value`` is ranked, where that is known: "min" or "max"."""


def row(checkpoint: Checkpoint, stored_path: str, run_id: str, attempt: int) -> CheckpointRow:
    """Return a checkpoint as its table's columns."""
    value, kind = values.split(checkpoint.value)
    return {
        "id": checkpoint.id,
        "run_id": run_id,
        "attempt": attempt,
        "policy_id": checkpoint.policy_id,
        "path": stored_path,
        "bytes": checkpoint.bytes,
        "sha256": checkpoint.sha256,
        "epoch": checkpoint.epoch,
        "step": checkpoint.step,
        "monitor": checkpoint.monitor,
        "value": value,
        "value_kind": kind,
        "metrics": values.to_json(checkpoint.metrics),
        "state": checkpoint.state,
        "pending": False,
        "pinned": checkpoint.pinned,
        "created": _clock.now(),
    }


def of_run(connection: Connection, location: Location, run_id: str) -> list[Checkpoint]:
    """Return the available checkpoints of a run, oldest first."""
    return _selected(connection, location, available().where(CHECKPOINT.c.run_id == run_id))


def at_path(connection: Connection, location: Location, stored_path: str) -> list[Checkpoint]:
    """Return the available checkpoints of a path, whatever run they belong to, oldest first."""
    return _selected(connection, location, available().where(CHECKPOINT.c.path == stored_path))


def _selected(
    connection: Connection, location: Location, statement: Select[Any]
) -> list[Checkpoint]:
    rows = list(connection.execute(statement))
    directions = Directions(connection, list({row.run_id for row in rows}))
    return [checkpoint_of(row, location, directions) for row in rows]


def registered_at(stored_path: str) -> Select[Any]:
    """Select the rows that say that a path has their bytes: run_id, pinned, bytes, sha256."""
    columns = CHECKPOINT.c.run_id, CHECKPOINT.c.pinned, CHECKPOINT.c.bytes, CHECKPOINT.c.sha256
    return select(*columns).where(
        CHECKPOINT.c.path == stored_path, CHECKPOINT.c.state == CheckpointState.AVAILABLE
    )


def settled_ids(connection: Connection, run_id: str) -> set[str]:
    """Return the ids of a run's checkpoints that are not pending, whatever their state."""
    of_run = CHECKPOINT.c.run_id == run_id, CHECKPOINT.c.pending.is_(False)
    return set(connection.scalars(select(CHECKPOINT.c.id).where(*of_run)))


def checkpoint_of(row: Any, location: Location, directions: Directions) -> Checkpoint:
    """Return the checkpoint of a row of its table, with the ``config`` of its policy."""
    return Checkpoint(
        id=row.id,
        path=location.absolute(row.path),
        bytes=row.bytes,
        sha256=row.sha256,
        epoch=row.epoch,
        step=row.step,
        monitor=row.monitor,
        value=values.join(row.value, row.value_kind),
        metrics=values.from_json(row.metrics),
        state=row.state,
        pinned=row.pinned,
        policy_id=row.policy_id,
        mode=directions.mode(row.monitor, row.run_id, mode_in(row.config)),
    )


class Deletable(NamedTuple):
    """A checkpoint, and its file as it was read; None where it is gone already."""

    checkpoint: Checkpoint
    file: SavedFile | None


class Inspected(NamedTuple):
    """The state that a recorded file is in (available, missing or modified), and an available one as it was read."""

    state: CheckpointState
    file: SavedFile | None = None


def check(recorded: Checkpoint | SavedFile) -> CheckpointState:
    """Return the state that a recorded file is in."""
    return inspect(recorded).state


def inspect(recorded: Checkpoint | SavedFile) -> Inspected:
    """Read a recorded file."""
    path = recorded.path
    if not path.exists() and not path.is_symlink():
        return Inspected(CheckpointState.MISSING)
    file = inspect_path(path)
    if not is_same(file, recorded):
        return Inspected(CheckpointState.MODIFIED)
    return Inspected(CheckpointState.AVAILABLE, file)


class Deletion(NamedTuple):
    """Checkpoints whose files were deleted, and why each of the others was not, by id."""

    deleted: list[Checkpoint]
    refused: dict[str, str]


def prune(
    checkpoints: Iterable[Checkpoint],
    known: list[Checkpoint],
    commit: Callable[[Entry], None],
) -> Deletion:
    """Delete the files that may be deleted.

    One whose file somebody has taken away is missing from then on.

    Args:
        checkpoints: those whose files are to be deleted.
        known: the run's available checkpoints, fresh from the database.
        commit: makes an entry durable.
    """
    kept = protected(known)
    current = {one.id: one for one in known}
    deletable: list[Deletable] = []
    missing = []
    refused: dict[str, str] = {}
    for one in checkpoints:
        if one.id not in current:
            refused[one.id] = "it is not registered as available"
        elif one.id in kept:
            refused[one.id] = kept[one.id]
        else:
            state, file = inspect(current[one.id])
            if state == CheckpointState.AVAILABLE:
                deletable.append(Deletable(current[one.id], file))
                continue
            refused[one.id] = f"its file is {state}"
            if state == CheckpointState.MISSING:
                missing.append(one.id)
    if missing:
        commit(checkpoint_state(missing, CheckpointState.MISSING))
    if deletable:
        commit(condemned(one.checkpoint for one in deletable))
    gone, undeletable = delete_files(deletable, commit)
    return Deletion(gone, refused | undeletable)


def condemned(checkpoints: Iterable[Checkpoint]) -> CheckpointStateEntry:
    """Return the entry that has to be durable before `delete_files`: a kill then leaves no row without its file."""
    return checkpoint_state([one.id for one in checkpoints], CheckpointState.PRUNED, pending=True)


def delete_files(deletable: Iterable[Deletable], commit: Callable[[Entry], None]) -> Deletion:
    """Delete the files of condemned checkpoints; what cannot be deleted is available again, with the reason.

    Only the very files that were read before are deleted, whatever has taken their names since; with each
    goes its signature.
    """
    gone: list[Checkpoint] = []
    refused: dict[str, str] = {}
    for one, file in deletable:
        try:
            if file is not None:
                remove(file.path, file.identity)
            gone.append(one)
        except FileNotFoundError:
            gone.append(one)
        except OSError as error:
            refused[one.id] = f"it cannot be deleted: {error.strerror}"
    for one in gone:
        remove_signature(one.path, one.sha256)
    for folder in {one.path.parent for one in gone}:
        with suppress(OSError):
            sync_folder(folder)
    if gone:
        commit(checkpoint_state([one.id for one in gone], CheckpointState.PRUNED))
    if refused:
        commit(checkpoint_state(list(refused), CheckpointState.AVAILABLE))
    return Deletion(gone, refused)
