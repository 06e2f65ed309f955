"""Checkpoints: what is registered, whether it is intact, what may be deleted.

A row in state ``available`` names a complete file with that size and hash, at every moment: a file
that is about to be replaced or removed loses the state first, and what a kill leaves in between is
``pending`` until `reconcile` has looked at the file. We never unpickle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from tracker import values
from tracker.checkpointing.retention import Saved, available, standing
from tracker.clock import now
from tracker.files import SavedFile, inspect_file, is_same, sync_folder
from tracker.models import CHECKPOINT
from tracker.policies.modes import mode_in
from tracker.storage.entries import CheckpointRow, CheckpointStateEntry, Entry, checkpoint_state
from tracker.storage.location import Location


@dataclass(frozen=True)
class Checkpoint:
    """One saved file. ``path`` is absolute; ``value`` is that of ``monitor`` when it was saved."""

    id: str
    path: Path
    bytes: int
    sha256: str
    epoch: int | None = None
    step: int | None = None
    monitor: str | None = None
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    state: str = "available"
    pinned: bool = False
    policy_id: str | None = None
    mode: str | None = None


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
        "created": _moment(),
    }


_newest = 0


def _moment() -> int:
    """Return the time, later at every call: a clock that is set back must not change which one is last."""
    global _newest
    _newest = max(now(), _newest + 1)
    return _newest


def of_run(connection: Connection, location: Location, run_id: str) -> list[Checkpoint]:
    """Return the available checkpoints of a run, oldest first."""
    found = connection.execute(available().where(CHECKPOINT.c.run_id == run_id))
    return [_checkpoint(one, location) for one in found]


def settled_ids(connection: Connection, run_id: str) -> set[str]:
    """Return the ids of a run's checkpoints of whose files the last word is known, whatever it is."""
    of_run = CHECKPOINT.c.run_id == run_id, CHECKPOINT.c.pending.is_(False)
    return set(connection.scalars(select(CHECKPOINT.c.id).where(*of_run)))


def _checkpoint(found: Any, location: Location) -> Checkpoint:
    return Checkpoint(
        id=found.id,
        path=location.absolute(found.path),
        bytes=found.bytes,
        sha256=found.sha256,
        epoch=found.epoch,
        step=found.step,
        monitor=found.monitor,
        value=values.join(found.value, found.value_kind),
        metrics=values.from_json(found.metrics),
        state=found.state,
        pinned=found.pinned,
        policy_id=found.policy_id,
        mode=mode_in(found.config),
    )


def protected(checkpoints: list[Checkpoint]) -> dict[str, str]:
    """Say which of a run's available checkpoints, oldest first, are never deleted, by id, each with the reason."""
    kept = {one.id: "it is pinned" for one in checkpoints if one.pinned}
    best, last = standing(Saved(one.id, one.monitor, one.value, one.mode) for one in checkpoints)
    if last is not None:
        kept[last] = "it is the last one"
    return kept | {one: f"it is the best by {monitor}" for one, monitor in best.items()}


def check(recorded: Checkpoint | SavedFile) -> str:
    """Return the state that a recorded file is in: available, missing or modified."""
    path = recorded.path
    if not path.exists() and not path.is_symlink():
        return "missing"
    return "available" if is_same(inspect_file(path), recorded) else "modified"


def prune(
    checkpoints: Iterable[Checkpoint],
    known: list[Checkpoint],
    commit: Callable[[Entry], None],
) -> tuple[list[Checkpoint], dict[str, str]]:
    """Delete files that may be deleted; returns those, and why each of the others was kept.

    Args:
        checkpoints: what should go.
        known: the run's available checkpoints, fresh from the database.
        commit: makes an entry durable.
    """
    kept = protected(known)
    current = {one.id: one for one in known}
    chosen = []
    refused: dict[str, str] = {}
    for one in checkpoints:
        if one.id not in current:
            refused[one.id] = "it is not registered as available"
        elif one.id in kept:
            refused[one.id] = kept[one.id]
        elif (state := check(current[one.id])) != "available":
            refused[one.id] = f"its file is {state}"
        else:
            chosen.append(current[one.id])
    if chosen:
        commit(condemned(chosen))
    gone, undeletable = delete_files(chosen, commit)
    return gone, refused | undeletable


def condemned(chosen: Iterable[Checkpoint]) -> CheckpointStateEntry:
    """Return the entry that has to be durable before `delete_files`: a kill then leaves no row without its file."""
    return checkpoint_state([one.id for one in chosen], "pruned", pending=True)


def delete_files(
    chosen: Iterable[Checkpoint], commit: Callable[[Entry], None]
) -> tuple[list[Checkpoint], dict[str, str]]:
    """Delete the files of condemned checkpoints; what cannot be deleted is available again, with the reason."""
    gone: list[Checkpoint] = []
    refused: dict[str, str] = {}
    for one in chosen:
        try:
            one.path.unlink(missing_ok=True)
            gone.append(one)
        except OSError as error:
            refused[one.id] = f"it cannot be deleted: {error.strerror}"
    for folder in {one.path.parent for one in gone}:
        with suppress(OSError):
            sync_folder(folder)
    for ids, state in (([one.id for one in gone], "pruned"), (list(refused), "available")):
        if ids:
            commit(checkpoint_state(ids, state))
    return gone, refused
