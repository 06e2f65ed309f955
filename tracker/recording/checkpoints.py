"""The checkpoints of one run, on the write side."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from tracker import values
from tracker.checkpointing import registry, store
from tracker.checkpointing.recovery import reconcile_path
from tracker.checkpointing.registry import Checkpoint
from tracker.errors import CheckpointError, StoreError
from tracker.files import SavedFile, absolute, inspect_file, prepared, save_file, save_link
from tracker.folders import inspect_path
from tracker.ids import new_id
from tracker.recording.mirror import Mirror
from tracker.recording.policy import Policy
from tracker.recording.writer import RecordedRun
from tracker.states import CheckpointState, KeepRule
from tracker.storage import entries
from tracker.storage.database import Reader
from tracker.storage.entries import StoredFile

FOLDERS = "checkpoint_folders"
"""Where in what is captured the folders are that an attempt saves into."""

log = logging.getLogger("tracker")


class Facts(TypedDict, total=False):
    """What may be recorded with a checkpoint when it is registered."""

    epoch: int | None
    step: int | None
    metrics: Mapping[str, Any] | None
    monitor: str | None
    value: Any
    policy: Policy | None


class CheckpointKeeper:
    """Saves, registers and prunes; where nothing is recorded it remembers its own files only.

    Threads that save beside the training may write at the same time; what is recorded of a path, and what
    has its name, change by one thread at a time.
    """

    def __init__(self, run: RecordedRun) -> None:
        self._run = run
        self._unrecorded: list[Checkpoint] = []
        self._own: list[Checkpoint] = []
        self._pruned: set[str] = set()
        self._folders: list[str] = []
        self._lock = threading.RLock()
        self._mirror: Mirror | None = None
        self._answered = True
        """Whether the database has, when it was last asked; that it has not is said once."""
        self._kept: SavedFile | None = None
        """What has come into the store last, as it was read."""

    def register(self, path: str | os.PathLike[str], facts: Facts) -> Checkpoint:
        """Register a complete file or folder."""
        target = self._checked(path)
        file = inspect_path(target)
        if file is None:
            raise CheckpointError(
                f"{target} is neither a regular file nor a folder of them: save the checkpoint first, or let "
                f"run.save_checkpoint(path, save) do both."
            )
        with self._lock:
            return self._registered(describe(file, facts))

    def save(
        self, path: str | os.PathLike[str], save: Callable[[Path], object], facts: Facts
    ) -> Checkpoint:
        """Save by the protocol of `tracker.files`, with the row on disk before the file takes its name."""
        target = self._checked(path)
        if not self._run.writer.recording:
            file = save_file(target, save)
            with self._lock:
                return self._registered(describe(file, facts))
        self._note_folder(target.parent)
        with prepared(target, save) as ready, self._lock:
            made = describe(ready, facts)
            replaced = self._keep_replaced(ready.path)
            try:
                self._write(made, pending=True, stored=replaced)
                ready.publish()
                self._registered(made)
            except BaseException:
                self._finish_pending(made)
                raise
        if replaced is not None:
            self._clear_store()
        return made

    def save_in_place(
        self, path: str | os.PathLike[str], save: Callable[[Path], object], facts: Facts
    ) -> Checkpoint | None:
        """Let ``save`` write the file under its own name, and register it; None where it made none."""
        target = absolute(path)
        replaced = None
        if self._run.writer.recording:
            replaced = self._keep_replaced(target, copy=True)
        save(target)
        file = inspect_file(target)
        if file is None:
            return None
        with self._lock:
            made = self._registered(describe(file, facts), stored=replaced)
        if replaced is not None:
            self._clear_store()
        return made

    def link(self, path: Path, target: Path) -> None:
        """Let ``path`` point to ``target``, after keeping what another run has there."""
        writer = self._run.writer
        if not writer.recording:
            save_link(path, target)
            return
        stored_path = writer.stored_path(path)
        replaced = self._keep_replaced(absolute(path))
        if replaced is not None:
            writer.record(entries.replaced(self._run.id, stored_path, replaced))
        with self._lock:
            is_file = path.is_file() and not path.is_symlink()
            save_link(path, target)
            if is_file:
                writer.record(entries.replaced(self._run.id, stored_path, None))
        if replaced is not None:
            self._clear_store()

    def _keep_replaced(self, path: Path, *, copy: bool = False) -> StoredFile | None:
        """Keep the file of another run, or a pinned one, that is about to lose its name.

        Where the database does not answer, any file is kept that this process has not written.
        """
        writer, rule = self._run.writer, self._run.keeping.rule
        location = writer.location
        if location is None or path.is_symlink() or not path.is_file():
            return None
        stored_path = writer.stored_path(path)
        kept: set[tuple[int, str]] | None = None  # not known: any file
        try:
            kept = {
                (row.bytes, row.sha256)
                for row in writer.rows(registry.registered_at(stored_path))
                if row.pinned or (rule != KeepRule.NONE and row.run_id != self._run.id)
            }
            if not kept:
                return None
        except StoreError:
            if any(own.path == path for own in self._own) or rule == KeepRule.NONE:
                return None

        def wanted(file: SavedFile) -> bool:
            return kept is None or (file.bytes, file.sha256) in kept

        try:
            file = store.keep(location, path, wanted, copy=copy)
        except OSError as error:
            log.warning(
                "local-tracker: %s of another run is replaced, and could not be kept in %s: %s",
                path, store.folder_of(location), error,
            )  # fmt: skip
            return None
        if file is None:
            return None
        self._kept = file
        place = writer.stored_path(file.path)
        return {"path": place, "bytes": file.bytes, "sha256": file.sha256, "rule": rule.value}

    def _clear_store(self) -> None:
        """Delete what need not stay in the store now that another file has come into it."""
        writer, limit = self._run.writer, self._run.keeping.limit
        none: list[Checkpoint] = []
        try:
            going = writer.query(
                lambda reader: store.superfluous(reader.connection, reader.location, limit), none
            )
        except StoreError as error:
            log.debug("the store is not cleared now: %s", error)
            return
        store.evict(going, writer.record, known=self._kept)

    def _checked(self, path: str | os.PathLike[str]) -> Path:
        """Return a path that both databases can keep; `BadValue` else."""
        target = values.path_of(path)
        values.path_of(self._run.writer.stored_path(target))
        return target

    def _note_folder(self, folder: Path) -> None:
        """Have on disk where temporary files may be left, before the first one is made there."""
        stored = self._run.writer.stored_path(folder)
        with self._lock:
            if stored not in self._folders:
                self._folders.append(stored)
                self._run.capture(**{FOLDERS: self._folders})

    def _finish_pending(self, made: Checkpoint) -> None:
        """After a save that was cut off: what the file is now says which of the rows is true."""
        stored = self._run.writer.stored_path(made.path)
        self._run.writer.amend(
            lambda connection, location: reconcile_path(connection, location, stored)
        )

    def _registered(self, made: Checkpoint, stored: StoredFile | None = None) -> Checkpoint:
        if not self._run.writer.recording:
            self._unrecorded = _replacing(self._unrecorded, made)
        else:
            self._write(made, pending=False, stored=stored)
            self._own = _replacing(self._own, made)
            self._copy(made)
        return made

    def _copy(self, made: Checkpoint) -> None:
        """Have a checkpoint copied to the run's remote folder, if it has one."""
        if self._run.remote is None:
            return
        if self._mirror is None:
            self._mirror = Mirror(self._run, self._run.remote)
            self._run.on_finish(self._mirror.finish)
        self._mirror.add(made)

    def _write(self, made: Checkpoint, *, pending: bool, stored: StoredFile | None = None) -> None:
        path = self._run.writer.stored_path(made.path)
        row = registry.row(made, path, self._run.id, self._run.attempt)
        if pending:
            row["state"], row["pending"] = CheckpointState.MISSING, True
        known = entries.checkpoint(row)
        if stored is None:
            self._run.writer.record(known)
        else:
            self._run.writer.record(entries.replaced(self._run.id, path, stored), known)

    def available(self) -> list[Checkpoint]:
        """Return the run's available checkpoints, oldest first.

        Those whose final entry is still pending are among them; where the database does not answer,
        those of this process are all.
        """
        writer = self._run.writer
        try:
            stored = writer.query(self._stored, _Stored(self._unrecorded, set()))
            self._answered = True
        except StoreError as error:
            if writer.strict:
                raise
            if self._answered:
                log.warning(
                    "local-tracker: %s Until it does, only checkpoints of this process count.",
                    error,
                )
            self._answered = False
            stored = _Stored([], set())
        pending = [own for own in self._own if own.id not in stored.final]
        replaced = {own.path for own in pending}
        recorded = [
            checkpoint
            for checkpoint in stored.available
            if checkpoint.id not in self._pruned and checkpoint.path not in replaced
        ]
        return self._in_order(recorded, pending)

    def _in_order(
        self, recorded: list[Checkpoint], pending: Iterable[Checkpoint]
    ) -> list[Checkpoint]:
        """Put what is pending before what this process has saved after it: the last one is never deleted."""
        place_of = {own.id: place for place, own in enumerate(self._own)}
        found = list(recorded)
        for own in pending:
            later = (
                n for n, one in enumerate(found) if place_of.get(one.id, -1) > place_of[own.id]
            )
            found.insert(next(later, len(found)), own)
        return found

    def _stored(self, reader: Reader) -> _Stored:
        connection, run = reader.connection, self._run.id
        return _Stored(
            registry.of_run(connection, reader.location, run),
            registry.settled_ids(connection, run),
        )

    def prune(self, checkpoints: Iterable[Checkpoint], why: str) -> list[Checkpoint]:
        """Delete what may be deleted; returns it."""
        commit = self._run.writer.record
        with self._lock:
            pruned, refused = registry.prune(checkpoints, self.available(), commit)
            for kept, reason in refused.items():
                log.debug("checkpoint %s was kept (%s): %s", kept, why, reason)
            return self._forgotten(pruned)

    def note_deleted(self, path: str | os.PathLike[str]) -> list[Checkpoint]:
        """Let what somebody else has deleted count as pruned, also what another run has saved; returns it."""
        target = absolute(path)
        if os.path.lexists(target):
            return []
        with self._lock:
            gone = {one.id: one for one in self.available() if one.path == target}
            gone |= {one.id: one for one in self._registered_at(target)}
            if gone and self._run.writer.recording:
                self._run.writer.record(entries.checkpoint_state([*gone], CheckpointState.PRUNED))
            return self._forgotten([*gone.values()])

    def _registered_at(self, path: Path) -> list[Checkpoint]:
        """Return what the database has as available under a path; nothing where it does not answer."""
        writer, none = self._run.writer, list[Checkpoint]()
        stored_path = writer.stored_path(path)
        try:
            return writer.query(
                lambda reader: registry.at_path(reader.connection, reader.location, stored_path),
                none,
            )
        except StoreError:
            if writer.strict:
                raise
            return none

    def _forgotten(self, gone: list[Checkpoint]) -> list[Checkpoint]:
        """Count checkpoints as pruned; returns them as they are then."""
        self._pruned |= {checkpoint.id for checkpoint in gone}
        self._own = [own for own in self._own if own.id not in self._pruned]
        self._unrecorded = [own for own in self._unrecorded if own.id not in self._pruned]
        return [replace(checkpoint, state=CheckpointState.PRUNED) for checkpoint in gone]


class _Stored(NamedTuple):
    """What the database knows: the available checkpoints, and the ids of all whose state is final."""

    available: list[Checkpoint]
    final: set[str]


def _replacing(checkpoints: list[Checkpoint], made: Checkpoint) -> list[Checkpoint]:
    """Return the checkpoints with a new one, which takes the place of one of the same path."""
    return [*(one for one in checkpoints if one.path != made.path), made]


def describe(file: SavedFile, facts: Facts) -> Checkpoint:
    """Make a checkpoint of a complete file; values become plain here."""
    numbers = _numbers(facts.get("metrics"))
    policy, monitor, value = facts.get("policy"), facts.get("monitor"), facts.get("value")
    epoch, step = facts.get("epoch"), facts.get("step")
    if monitor is None and policy is not None:
        monitor = policy.monitor
    if value is None and monitor in numbers:
        value = numbers[monitor]
    return Checkpoint(
        id=new_id(),
        path=file.path,
        bytes=file.bytes,
        sha256=file.sha256,
        epoch=None if epoch is None else values.whole(epoch, "epoch", most=2**31 - 1),
        step=None if step is None else values.whole(step, "step"),
        monitor=None if monitor is None else values.name_text(monitor, "monitor"),
        value=None if value is None else values.number(value, "value"),
        metrics=numbers,
        policy_id=policy.id if policy is not None else None,
        mode=policy.config.get("mode") if policy is not None else None,
    )


def _numbers(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    if metrics is None:
        return {}
    try:
        pairs = list(metrics.items())
    except Exception as error:  # whatever its own methods raise
        raise values.no_mapping(metrics) from error
    return {
        (text := values.name_text(name, "A metric's name")): values.number(metric, text)
        for name, metric in pairs
    }
