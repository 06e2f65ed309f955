"""Maintain saved files from outside of training: verify, restore, pin, prune. Nothing is unpickled."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update

from tracker.checkpointing import registry, transfer
from tracker.checkpointing.copies import Copy, copies_of, note_states
from tracker.checkpointing.retention import among_best, kept_beside_newest, protected
from tracker.checkpointing.signature import SignatureState, Verifier
from tracker.errors import CheckpointError, NotWritable, TrackerError
from tracker.files import (
    SavedFile,
    discard,
    inspect_file,
    is_same,
    save_file,
    shared_folder,
    temporary_path,
)
from tracker.folders import copy_folder, save_folder
from tracker.models import CHECKPOINT
from tracker.policies import Retention
from tracker.queries.checkpoints import checkpoints
from tracker.states import CheckpointState
from tracker.storage.chunks import in_parts
from tracker.storage.database import Location, reading
from tracker.storage.entries import Entry, checkpoint_state
from tracker.storage.journal import apply
from tracker.storage.prepare import writing

UNREACHABLE = "unreachable"
"""What the state of a copy is called that cannot be read now."""
log = logging.getLogger("tracker")

WITH_FILE = tuple(state for state in CheckpointState if state != CheckpointState.PRUNED)
"""The states of checkpoints that had a file when somebody last looked, or should have one."""


@dataclass(frozen=True)
class Verified:
    """A checkpoint (its row as a dict), and the states that its file and its copy are in now.

    ``copy`` is "unreachable" where the copy could not be read, and None where there is none or nobody looked.
    ``signature`` is "valid", "wrong" or "none"; None where nobody looked.
    """

    checkpoint: dict[str, Any]
    state: str
    copy: str | None = None
    signature: str | None = None

    @property
    def changed(self) -> bool:
        """Whether the database has another state."""
        return bool(self.checkpoint["state"] != self.state)

    @property
    def is_safe(self) -> bool:
        """Whether there is a whole file or a whole copy, and neither is known to be damaged, nor a signature wrong."""
        intact = CheckpointState.AVAILABLE
        if self.signature not in (None, SignatureState.VALID):
            return False
        if self.state == intact:
            return self.copy in (None, intact)
        return self.copy == intact


def verify(
    location: Location,
    ids: Sequence[str] | None = None,
    *,
    jobs: int | None = None,
    remote: bool = False,
    key: Path | None = None,
    step: Callable[[int], object] | None = None,
) -> list[Verified]:
    """Read each checkpoint's file and compare size and SHA-256; a state that changed is recorded.

    Where a file is not as it was, its copy in a remote folder is read as well.

    Args:
        location: the database.
        ids: of these runs; None for all. Pruned ones have no file and are skipped.
        jobs: how many files are read at the same time; None for one per core.
        remote: whether to read every copy, those of pruned files as well.
        key: a public key that the signature beside each file is checked by.
        step: called with the bytes of each file when it has been read.

    Raises:
        BadValue, UsageError: the key cannot be used, or model-signing is not installed.
    """
    verifier = None if key is None else Verifier(key)
    seen: dict[Copy, CheckpointState] = {}
    verified: list[Verified] = []
    rows, copies = _recorded(location, ids, remote=remote)

    def check(row: dict[str, Any]) -> Verified:
        state = row["state"]
        if state in WITH_FILE:
            state = registry.check(recorded_file(row))
        of_row = copies.get(row["id"], [])
        is_here = state == CheckpointState.AVAILABLE
        copy = _check_copies(of_row, seen) if of_row and (remote or not is_here) else None
        signed = verifier.check(Path(row["file"])) if verifier is not None and is_here else None
        return Verified(row, state, copy, signed)

    while rows:
        checked = []
        with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
            # Hashing lets other threads run.
            for one in pool.map(check, rows):
                checked.append(one)
                if step is not None:
                    step(one.checkpoint["bytes"])
        overtaken = _record_states(location, checked, seen)
        verified += [one for one in checked if one.checkpoint["id"] not in overtaken]
        step = None
        again, _ = _recorded(location, ids, remote=remote) if overtaken else ([], {})
        rows = [row for row in again if row["id"] in overtaken]
    return verified


def _recorded(
    location: Location, ids: Sequence[str] | None, *, remote: bool
) -> tuple[list[dict[str, Any]], dict[str, list[Copy]]]:
    """Return the rows of checkpoints that have a file, or with ``remote`` a copy, and all copies."""
    with reading(location) as reader:
        states = None if remote else WITH_FILE
        rows = list(checkpoints(reader, ids, states=states, as_recorded=True).dicts())
        copies = {} if reader.empty else copies_of(reader.connection, ids)
    if remote:
        rows = [row for row in rows if row["state"] in WITH_FILE or row["id"] in copies]
    return rows, copies


def _record_states(
    location: Location, checked: Sequence[Verified], seen: dict[Copy, CheckpointState]
) -> set[str]:
    """Record the states that have changed, and those of copies that were read.

    Returns:
        The checkpoints whose rows have changed as well since they were read: a run has replaced the file, or
        somebody pruned it. What was seen of them says nothing.
    """
    changed = {one.checkpoint["id"]: one for one in checked if one.changed}
    if not changed and not seen:
        return set()
    with writing(location) as connection:
        now = _rows_now(connection, changed)
        overtaken = {
            id for id, one in changed.items() if not _is_unchanged(location, one, now.get(id))
        }
        ids_of: dict[str, list[str]] = {}
        for id, one in changed.items():
            # A pending one has no file yet, or none any more: its run will say so.
            if id not in overtaken and not now[id].pending:
                ids_of.setdefault(one.state, []).append(id)
        apply(connection, [checkpoint_state(ids, state) for state, ids in ids_of.items()])
        note_states(connection, seen)
    return overtaken


def _is_unchanged(location: Location, one: Verified, now: Any) -> bool:
    """Say whether a row still says of the file what it said when it was read."""
    read = Path(one.checkpoint["file"]), one.checkpoint["state"]
    return now is not None and read == (location.absolute(now.path), now.state)


def _rows_now(connection: Connection, ids: Iterable[str]) -> dict[str, Any]:
    """Return path, state and pending of rows, by id."""
    columns = CHECKPOINT.c.path, CHECKPOINT.c.state, CHECKPOINT.c.pending, CHECKPOINT.c.id
    return {
        row.id: row
        for some in in_parts(list(ids))
        for row in connection.execute(select(*columns).where(CHECKPOINT.c.id.in_(some)))
    }


def _check_copies(copies: Sequence[Copy], seen: dict[Copy, CheckpointState]) -> str:
    """Read a checkpoint's copies; returns the best of their states, and puts each into ``seen``."""
    states = []
    for copy in copies:
        try:
            seen[copy] = transfer.check(copy)
        except TrackerError as error:
            log.warning("local-tracker: %s", error)
            continue
        states.append(seen[copy])
    order = (CheckpointState.AVAILABLE, CheckpointState.MODIFIED, CheckpointState.MISSING)
    return next((state.value for state in order if state in states), UNREACHABLE)


def recorded_file(row: dict[str, Any]) -> SavedFile:
    """Return what is recorded of a checkpoint's file; ``row`` is as listings have it."""
    return SavedFile(Path(row["file"]), row["bytes"], row["sha256"])


def restore(
    checkpoint: dict[str, Any], target: Path, *, replace: bool = False, copies: Sequence[Copy] = ()
) -> SavedFile:
    """Copy a checkpoint's file or folder to ``target``, whole and as it was saved, or not at all.

    Args:
        checkpoint: its row, as `tracker.queries.checkpoints.find_checkpoint` gives it.
        target: the file to write; in a folder it keeps its name.
        replace: whether an existing file may be replaced.
        copies: its copies in remote folders, one of which is fetched where the file is gone or changed.

    Raises:
        CheckpointError: when the file is missing or not the one that was saved, and no copy is whole; ``target`` is
            as it was.
        NotWritable: when the file exists already, or cannot be written.
    """
    recorded = recorded_file(checkpoint)
    source = recorded.path
    if target.is_dir():
        target = target / Path(checkpoint["path"]).name
    is_itself = target.exists() and source.exists() and target.samefile(source)
    if is_itself and not (replace and copies):
        raise NotWritable(f"{target} is the checkpoint itself: name another file with -o.")
    if target.exists() and not replace:
        raise NotWritable(f"{target} exists already: name another file with -o, or give --force.")
    try:
        if is_itself:
            raise CheckpointError(f"{target} is the checkpoint itself.")
        return _copied(recorded, target)
    except CheckpointError:
        if not copies:
            raise
    return _fetched(copies, target, recorded)


def _copied(recorded: SavedFile, target: Path) -> SavedFile:
    source = recorded.path

    def copy(temporary: Path) -> None:
        shutil.copyfile(source, temporary)
        if not is_same(inspect_file(temporary), recorded):
            raise _not_saved(source, target)

    try:
        if source.is_dir():
            return copy_folder(source, target, recorded)
        return save_file(target, copy)
    except FileNotFoundError as error:
        raise CheckpointError(f"The file {source} is missing.") from error
    except shutil.SpecialFileError as error:
        raise _not_saved(source, target) from error
    except OSError as error:
        raise NotWritable(f"{target} cannot be written: {error.strerror or error}.") from error


def _not_saved(source: Path, target: Path) -> CheckpointError:
    return CheckpointError(
        f"The file {source} is not the one that was saved (size or SHA-256 differ): "
        f"{target} was not written."
    )


def _fetched(copies: Sequence[Copy], target: Path, recorded: SavedFile) -> SavedFile:
    """Bring a copy beside the target first: what takes its name is on the disk, and is what was saved."""
    aside = temporary_path(target)
    try:
        shared_folder(target.parent)
        url = transfer.fetch_one(copies, aside)
        if aside.is_dir():
            return save_folder(target, aside.rename, recorded, url)
        return save_file(target, aside.replace)
    except OSError as error:
        raise NotWritable(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        discard(aside)


def pin(location: Location, ids: Iterable[str], *, pinned: bool = True) -> None:
    """Mark checkpoints as never to be deleted; ``pinned=False`` takes the mark away."""
    with writing(location) as connection:
        for some in in_parts(list(ids)):
            change = update(CHECKPOINT).where(CHECKPOINT.c.id.in_(some)).values(pinned=pinned)
            connection.execute(change)


def committing(location: Location) -> Callable[[Entry], None]:
    """Return a function that makes an entry durable, in a transaction of its own."""

    def commit(entry: Entry) -> None:
        with writing(location) as connection:
            apply(connection, [entry])

    return commit


@dataclass(frozen=True)
class Pruning:
    """A plan for one run's available checkpoints, oldest first.

    Attributes:
        known: all of them.
        going: those whose files are to be deleted.
        kept: the files of the others, each with the reason.
    """

    known: list[registry.Checkpoint]
    going: list[registry.Checkpoint]
    kept: dict[Path, str]


def plan_pruning(
    location: Location,
    run: str,
    keep: int = 0,
    *,
    best: int | None = None,
    every: int | None = None,
    size: int | None = None,
) -> Pruning:
    """Plan to delete files of a run; the best, the last and pinned ones always stay.

    Args:
        location: the database.
        run: its id.
        keep: how many of the newest of the others stay, too.
        best: how many of the best by each monitor stay.
        every: files of the epochs n, 2n, 3n …, counted from 1, stay.
        size: how many bytes the files may take; the oldest go first.
    """
    with reading(location) as reader:
        known = registry.of_run(reader.connection, location, run)
    reasons = kept_beside_newest(known, keep)
    if best is not None:
        reasons |= among_best(known, best)
    files = [(one.id, None, one.epoch) for one in known]
    wanted = Retention(last=0, every=every).choose(files, spared=reasons).keep
    chosen = Retention(size=size).choose(
        [(id, None, epoch) for id, _, epoch in files if id in wanted],
        {one.id: one.bytes for one in known},
        protected(known),
    )
    staying = set(chosen.keep)
    going = [one for one in known if one.id not in staying]
    why = f"its epoch is a multiple of {every}"
    kept = {one.path: reasons.get(one.id, why) for one in known if one.id in staying}
    return Pruning(known, going, kept)


def prune(location: Location, plan: Pruning) -> tuple[list[registry.Checkpoint], dict[Path, str]]:
    """Delete what was planned; returns what was deleted, and why each of the rest was kept."""
    deleted, refused = registry.prune(plan.going, plan.known, committing(location))
    paths = {one.id: one.path for one in plan.going}
    return deleted, {paths[id]: why for id, why in refused.items()}
