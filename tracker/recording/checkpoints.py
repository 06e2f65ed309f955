"""The checkpoints of one run, on the write side."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from tracker import values
from tracker.checkpointing import registry
from tracker.checkpointing.recovery import reconcile_path
from tracker.checkpointing.registry import Checkpoint
from tracker.errors import CheckpointError, StoreError
from tracker.files import SavedFile, inspect_file, prepared, save_file
from tracker.ids import new_id
from tracker.recording.null_recorder import Silence

if TYPE_CHECKING:
    from tracker.recording.policy import Policy
    from tracker.recording.run import Run

FOLDERS = "checkpoint_folders"
"""Where in what is captured the folders are that an attempt saves into."""

log = logging.getLogger("tracker")


class Facts(TypedDict, total=False):
    """What may be said of a checkpoint when it is registered."""

    epoch: int | None
    step: int | None
    metrics: Mapping[str, Any] | None
    monitor: str | None
    value: Any
    policy: Policy | None


class CheckpointKeeper:
    """Saves, registers and prunes; where nothing is recorded it remembers its own files only."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._unrecorded: list[Checkpoint] = []
        self._own: list[Checkpoint] = []
        self._pruned: set[str] = set()
        self._folders: list[str] = []

    def register(self, path: str | os.PathLike[str], facts: Facts) -> Checkpoint:
        """Register a complete file."""
        found = inspect_file(path)
        if found is None:
            raise CheckpointError(
                f"{os.fspath(path)} is no regular file: save the checkpoint first, or let "
                f"run.save_checkpoint(path, save) do both."
            )
        return self._registered(describe(found, facts))

    def save(
        self, path: str | os.PathLike[str], save: Callable[[Path], object], facts: Facts
    ) -> Checkpoint:
        """Save by the protocol of `tracker.files`, with the row on disk before the file takes its name."""
        if not self._run.recording:
            return self._registered(describe(save_file(path, save), facts))
        self._note_folder(Path(path).parent)
        with prepared(path, save) as ready:
            made = describe(ready, facts)
            self._write(made, pending=True)
            try:
                ready.publish()
            except BaseException:
                self._settle(made)
                raise
        return self._registered(made)

    def _note_folder(self, folder: Path) -> None:
        """Have on disk where temporary files may be left, before the first one is made there."""
        stored = self._run.writer.stored_path(folder)
        if stored not in self._folders:
            self._folders.append(stored)
            self._run.capture(**{FOLDERS: self._folders})

    def _settle(self, made: Checkpoint) -> None:
        """After a rename that failed: what the file is now says which of the rows is true."""
        writer = self._run.writer
        if not isinstance(writer, Silence):
            stored = writer.stored_path(made.path)
            writer.amend(lambda found: reconcile_path(found, writer.location, stored))

    def _registered(self, made: Checkpoint) -> Checkpoint:
        if not self._run.recording:
            self._unrecorded = [one for one in self._unrecorded if one.path != made.path] + [made]
        else:
            self._write(made, pending=False)
            self._own = [one for one in self._own if one.path != made.path] + [made]
        return made

    def _write(self, made: Checkpoint, *, pending: bool) -> None:
        stored = self._run.writer.stored_path(made.path)
        row = registry.row(made, stored, self._run.id, self._run.attempt)
        if pending:
            row.update(state="missing", pending=True)
        self._run.writer.record({"kind": "checkpoint", "row": row})

    def available(self) -> list[Checkpoint]:
        """Return the run's available checkpoints, oldest first.

        What the database has not heard the last word of yet is among them; where it does not answer,
        those of this process are all.
        """
        writer, run = self._run.writer, self._run.id
        if isinstance(writer, Silence):
            return list(self._unrecorded)
        try:
            stored, settled = writer.query(
                lambda found: (
                    registry.of_run(found, writer.location, run),
                    registry.settled_ids(found, run),
                )
            )
        except StoreError as error:
            if writer.strict:
                raise
            log.warning("local-tracker: %s", error)
            stored, settled = [], set()
        waiting = [one for one in self._own if one.id not in settled]
        gone = self._pruned | {
            one.id for one in stored if any(one.path == new.path for new in waiting)
        }
        return [*(one for one in stored if one.id not in gone), *waiting]

    def prune(self, checkpoints: Iterable[Checkpoint], why: str) -> list[Checkpoint]:
        """Delete what may be deleted; returns it."""
        commit = self._run.writer.record
        pruned, refused = registry.prune(checkpoints, self.available(), commit)
        for one, reason in refused.items():
            log.debug("checkpoint %s was kept (%s): %s", one, why, reason)
        self._pruned |= {one.id for one in pruned}
        self._own = [one for one in self._own if one.id not in self._pruned]
        self._unrecorded = [one for one in self._unrecorded if one.id not in self._pruned]
        return [replace(one, state="pruned") for one in pruned]


def describe(file: SavedFile, facts: Facts) -> Checkpoint:
    """Make a checkpoint of a complete file; values become plain here."""
    metrics = facts.get("metrics") or {}
    numbers = {str(name): values.number(one, str(name)) for name, one in metrics.items()}
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
        monitor=None if monitor is None else values.clean_text(str(monitor)),
        value=None if value is None else values.number(value, str(monitor)),
        metrics=numbers,
        policy_id=policy.id if policy is not None else None,
        mode=policy.config.get("mode") if policy is not None else None,
    )
