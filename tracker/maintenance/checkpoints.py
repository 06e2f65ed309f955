"""Looking after saved files from outside a training: verify, restore, pin, prune. Nothing is unpickled."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import update

from tracker.checkpointing import registry
from tracker.errors import CheckpointError, NotWritable
from tracker.files import SavedFile, inspect_file, is_same, save_file
from tracker.models import CHECKPOINT
from tracker.queries import checkpoints
from tracker.storage.chunks import in_parts
from tracker.storage.database import Location, reading
from tracker.storage.entries import Entry, checkpoint_state
from tracker.storage.journal import apply
from tracker.storage.prepare import writing

WITH_FILE = ("available", "missing", "modified")
"""The states of checkpoints that had a file when somebody last looked, or should have one."""


@dataclass(frozen=True)
class Verified:
    """A checkpoint (its row as a dict), and the state that its file is in now."""

    checkpoint: dict[str, Any]
    state: str

    @property
    def changed(self) -> bool:
        """Whether the database said otherwise."""
        return bool(self.checkpoint["state"] != self.state)


def verify(
    location: Location,
    ids: Sequence[str] | None = None,
    *,
    step: Callable[[int], object] | None = None,
) -> list[Verified]:
    """Read each checkpoint's file and compare size and SHA-256; what changed is recorded.

    Args:
        location: the database.
        ids: of these runs; None for all. Pruned ones have no file and are left out.
        step: called with the bytes of each file when it has been read.
    """
    with reading(location) as reader:
        rows = checkpoints(reader, ids, states=WITH_FILE).dicts()
        found = []
        for row in rows:
            found.append(Verified(row, registry.check(_recorded(row))))
            if step is not None:
                step(row["bytes"])
    changed: dict[str, list[str]] = {}
    for one in found:
        if one.changed:
            changed.setdefault(one.state, []).append(one.checkpoint["id"])
    entries: list[Entry] = [checkpoint_state(ids, state) for state, ids in changed.items()]
    if entries:
        with writing(location) as connection:
            apply(connection, entries)
    return found


def _recorded(row: dict[str, Any]) -> SavedFile:
    return SavedFile(Path(row["file"]), row["bytes"], row["sha256"])


def restore(checkpoint: dict[str, Any], target: Path, *, replace: bool = False) -> SavedFile:
    """Copy a checkpoint's file to ``target``, whole and as it was saved, or not at all.

    Args:
        checkpoint: its row, as `tracker.queries.checkpoints.find_checkpoint` gives it.
        target: where to; a folder keeps the file's name.
        replace: whether a file that is there may go.

    Raises:
        CheckpointError: when the file is missing or not the one that was saved; ``target`` is as it was.
        NotWritable: when there is a file already, or none can be written.
    """
    recorded = _recorded(checkpoint)
    source = recorded.path
    if target.is_dir():
        target = target / source.name
    if target.exists() and target.samefile(source):
        raise NotWritable(f"{target} is the checkpoint itself: name another file with -o.")
    if target.exists() and not replace:
        raise NotWritable(f"{target} exists already: name another file with -o, or give --force.")

    def copy(temporary: Path) -> None:
        shutil.copyfile(source, temporary)
        if not is_same(inspect_file(temporary), recorded):
            raise CheckpointError(
                f"The file {source} is not the one that was saved (size or SHA-256 differ): "
                f"{target} was not written."
            )

    try:
        return save_file(target, copy)
    except FileNotFoundError as error:
        raise CheckpointError(f"The file {source} is missing.") from error
    except OSError as error:
        raise NotWritable(f"{target} cannot be written: {error.strerror or error}.") from error


def pin(location: Location, ids: Iterable[str], *, pinned: bool = True) -> None:
    """Mark checkpoints as never to be deleted, or take that back."""
    with writing(location) as connection:
        for some in in_parts(list(ids)):
            change = update(CHECKPOINT).where(CHECKPOINT.c.id.in_(some)).values(pinned=pinned)
            connection.execute(change)


def committing(location: Location) -> Callable[[Entry], None]:
    """Return what makes an entry durable, in a transaction of its own."""

    def commit(entry: Entry) -> None:
        with writing(location) as connection:
            apply(connection, [entry])

    return commit


@dataclass(frozen=True)
class Pruning:
    """What would go: checkpoints, oldest first, of one run; ``kept`` says of the others why they stay."""

    known: list[registry.Checkpoint]
    going: list[registry.Checkpoint]
    kept: dict[Path, str]


def plan_pruning(location: Location, run: str, keep: int) -> Pruning:
    """Choose what can go of a run: all but the best, the last, pinned ones, and the ``keep`` newest."""
    with reading(location) as reader:
        known = registry.of_run(reader.connection, location, run)
    protected = registry.protected(known)
    free = [one for one in known if one.id not in protected]
    going = free[: max(0, len(free) - keep)]
    kept = {one.path: protected[one.id] for one in known if one.id in protected}
    kept |= {one.path: f"it is one of the {keep} newest" for one in free[len(going) :]}
    return Pruning(known, going, kept)


def prune(location: Location, plan: Pruning) -> tuple[list[registry.Checkpoint], dict[Path, str]]:
    """Delete what was planned; returns what went, and of the rest why it stayed."""
    gone, refused = registry.prune(plan.going, plan.known, committing(location))
    paths = {one.id: one.path for one in plan.going}
    return gone, {paths[one]: why for one, why in refused.items()}
