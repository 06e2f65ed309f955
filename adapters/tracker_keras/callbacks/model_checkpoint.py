"""ModelCheckpoint: Keras' own, its files whole and known to the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import keras

import tracker
from tracker.files import path_part
from tracker.policies import Retention, reasons
from tracker_keras.session.base import Logs
from tracker_keras.session.memory_file import MemoryFile
from tracker_keras.session.monitor import Comparison, Monitoring
from tracker_keras.session.room import largest_size
from tracker_keras.session.saver import Saver, is_of_keras
from tracker_keras.session.session import Session
from tracker_keras.session.values import number, numbers


@dataclass(frozen=True)
class Unsaved:
    """A file in memory that is to be saved: where, and what is recorded with it."""

    run: tracker.Run
    path: Path
    file: MemoryFile
    facts: dict[str, Any]


class ModelCheckpoint(Monitoring, keras.callbacks.ModelCheckpoint):
    """Save the model or its weights: Keras decides when and where, the run keeps which and why.

    Arguments, file names, messages and exceptions are those of ``keras.callbacks.ModelCheckpoint``.
    A file appears whole or not at all: it is written under a temporary name in the same folder,
    synced, hashed and renamed, and the run knows its size and SHA-256. What an earlier run has saved
    under that name is kept in the data folder first while it is the best of its experiment, see ``keep``
    of ``tracker.start_run``; ``{run}`` (the run's id), ``{name}`` and ``{experiment}`` in ``filepath`` give
    each run files of its own. Each epoch (each save, with
    an integer ``save_freq``) is a decision: saved, skipped, or pruned.

    In a resumed run ``best`` continues where it was, and a file of an earlier attempt is only written
    over by a better one.

    Args:
        keep: how many of the files that ``filepath`` names stay: the best by ``monitor``. The last
            one and pinned ones stay as well. None keeps all, as Keras does. A `tracker.policies.Retention`
            says more: ``Retention(best=3, last=2, every=10, size="20GB")``.
        background: whether a thread brings the files to the disk while training continues. Keras writes
            each into memory first, so that it holds what it would hold without. There is one at a time: a
            save, or an epoch that is judged, waits for the one before. An error comes out then, or at the
            end of training, which waits for the file, as do backups, ``tracker.load_checkpoint`` and the
            end of the process.

    Raises:
        tracker.BadValue: ``background`` for a remote folder.
        tracker.UsageError: when training begins: ``background`` for a model with a ``save`` or
            ``save_weights`` of its own, which may write more files than one.
    """

    tracker_kind = "ModelCheckpoint"
    tracker_settings = (
        "filepath",
        "monitor",
        "save_best_only",
        "save_weights_only",
        "mode",
        "save_freq",
        "initial_value_threshold",
        "keep",
    )
    _tracker_saver: Saver | None = None
    _tracker_thread: tracker.BackgroundSaver | None = None
    _tracker_unsaved: Unsaved | None = None
    _tracker_due: bool | None = None
    _tracker_run_id: str | None = None
    _tracker_best_is_earlier = False

    def __init__(
        self,
        filepath: str | PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        *,
        keep: int | Retention | None = None,
        background: bool = False,
    ) -> None:
        if not isinstance(background, bool):
            raise tracker.BadValue(f"background is {background!r}: it must be True or False.")
        if background and "://" in str(filepath):
            raise tracker.BadValue(
                f"filepath is {str(filepath)!r}, and background is True: only a file on a disk of this machine "
                f"can be saved beside the training. Leave background out, or name a local path."
            )
        super().__init__(
            filepath,
            monitor=monitor,
            verbose=verbose,
            save_best_only=save_best_only,
            save_weights_only=save_weights_only,
            mode=mode,
            save_freq=save_freq,
            initial_value_threshold=initial_value_threshold,
        )
        self.keep = keep
        self._tracker_rule()
        self.background = background
        self.initial_value_threshold = initial_value_threshold
        self._tracker_best_epoch: int | None = None
        self._tracker_kept: list[tracker.Checkpoint] = []

    def _tracker_rule(self) -> Retention:
        """Return which files stay; the direction counts only where they are ranked, once it is known."""
        return Retention.of(self.keep, self.monitor, "min")

    def tracker_config(self) -> dict[str, Any]:
        """Return the settings as they are recorded."""
        return {**super().tracker_config(), "keep": self._tracker_rule().settings}

    @property
    def model(self) -> Any:
        """The model; while Keras saves it, what stands in for it."""
        return self._tracker_saver or super().model

    def _get_file_path(self, epoch: int, batch: Any, logs: Logs) -> str:
        session = self._tracker_session
        known = {} if session is None else _names_of(session.run)
        return str(super()._get_file_path(epoch, batch, {**known, **(logs or {})}))

    def _should_save_model(self, epoch: int, batch: Any, logs: Logs, filepath: str) -> bool:
        self._tracker_due = bool(super()._should_save_model(epoch, batch, logs, filepath))
        return self._tracker_due

    def _save_model(self, epoch: int, batch: int | None, logs: Logs) -> None:
        self._tracker_finish_saving()
        best, best_epoch = number(self.best), self._tracker_best_epoch
        self._tracker_due = None
        saver = Saver(
            super().model,
            lambda path, save, whole: self._tracker_write(path, save, whole, epoch, batch, logs),
        )
        self._tracker_saver = saver
        try:
            with self.tracker_comparison() as comparison:
                super()._save_model(epoch, batch, logs)
        finally:
            self._tracker_saver = None
        earlier = self._tracker_best_is_earlier
        if comparison.improved:
            self._tracker_best_epoch, self._tracker_best_is_earlier = epoch, False
        if self._tracker_due is None:
            return
        step = self._tracker_step(batch)
        reason = saver.refused or self._tracker_why(comparison, logs, best, best_epoch)
        if earlier and comparison.improved is not None and saver.refused is None:
            reason = f"{reason}, {reasons.best_of_earlier_training()}"
        verdict = "saved" if saver.path is not None else "skipped"
        cause = None if saver.refused is None else "better-file"
        seen = dict(logs or {})

        def decide() -> None:
            self._tracker_decide(
                verdict, epoch, reason, logs=seen, path=saver.path, step=step, cause=cause
            )
            if self.keep is not None and saver.path is not None:
                self._tracker_prune(epoch, seen, step)

        unsaved, self._tracker_unsaved = self._tracker_unsaved, None
        if unsaved is None or self._tracker_thread is None:
            decide()
        else:
            self._tracker_thread.begin(lambda: self._tracker_save_beside(unsaved, decide))

    def _tracker_save_beside(self, unsaved: Unsaved, decide: Callable[[], None]) -> None:
        """Bring a file from memory to its place, and what was decided into the record."""
        try:
            save = unsaved.file.write_to
            self._tracker_note(unsaved.run.save_checkpoint(unsaved.path, save, **unsaved.facts))
        finally:
            unsaved.file.close()
        decide()

    def _tracker_note(self, made: tracker.Checkpoint) -> None:
        self._tracker_kept = [one for one in self._tracker_kept if one.path != made.path] + [made]

    def _tracker_finish_saving(self) -> None:
        """Wait for the file that is brought to the disk, and raise what was in its way."""
        if self._tracker_thread is not None:
            self._tracker_thread.finish()

    def _tracker_end(self, logs: Logs) -> None:
        self._tracker_finish_saving()
        super()._tracker_end(logs)

    def _tracker_why(
        self, comparison: Comparison, logs: Logs, best: float | None, best_epoch: int | None
    ) -> str:
        value = number((logs or {}).get(self.monitor))
        if comparison.improved is None:
            if not self.save_best_only:
                return reasons.every_save()
            if (logs or {}).get(self.monitor) is not None:
                return reasons.saved_array(self.monitor)
            return reasons.saved_unjudged(self.monitor, logs or {})
        if comparison.improved:
            return self.tracker_why_improved(value, best, best_epoch)
        return self.tracker_why_not_improved(value, best, best_epoch)

    def _tracker_write(
        self,
        path: Path,
        save: Callable[[Path], object],
        whole: bool,
        epoch: int,
        batch: int | None,
        logs: Logs,
    ) -> str | None:
        """Save one file; returns why not, where a better one of an earlier attempt is in its place.

        ``whole``: under a temporary name first; else in place, and known to the run if it is a file.
        """
        session, metrics = self._tracker_session, numbers(logs)
        if session is None or not session.is_open:
            if whole:
                tracker.save_file(path, save)
            else:
                save(path)
            return None
        value = metrics.get(self.monitor)
        judged = self._tracker_comparison is not None and self._tracker_comparison.improved
        better = self._tracker_better_there(path, value) if judged else None
        if better is not None:
            return reasons.better_file_stays(self.monitor, value, better.value or 0.0, better.epoch)
        facts: dict[str, Any] = {
            "epoch": epoch,
            "step": session.epochs.steps_after(batch),
            "metrics": metrics,
            "monitor": self.monitor if value is not None else None,
            "value": value,
            "policy": self._tracker_policy,
        }
        if self._tracker_thread is not None:
            held = MemoryFile(path.name, largest_size(session.model), save)
            self._tracker_unsaved = Unsaved(session.run, path.absolute(), held, facts)
            return None
        made: tracker.Checkpoint | None
        if whole:
            made = session.run.save_checkpoint(path, save, **facts)
        else:
            made = session.run.save_checkpoint_in_place(path, save, **facts)
        if made is not None:
            self._tracker_note(made)
        return None

    def _tracker_better_there(self, path: Path, value: float | None) -> tracker.Checkpoint | None:
        session = self._tracker_session
        if session is None or not session.resuming or value is None:
            return None
        for one in session.run.checkpoints():
            same = one.path == path.absolute() and one.monitor == self.monitor
            if same and one.value is not None and self._tracker_is_better(one.value, value):
                return one
        return None

    def _tracker_is_better(self, one: float, other: float) -> bool:
        return one > other if self._tracker_direction() == "max" else one < other

    def _tracker_decide(
        self,
        verdict: str,
        epoch: int,
        reason: str,
        *,
        logs: Logs,
        path: Path | None,
        step: int | None,
        cause: str | None = None,
    ) -> None:
        self.tracker_decided(
            verdict,
            epoch=epoch,
            reason=reason,
            step=step,
            value=number((logs or {}).get(self.monitor)),
            best=number(self.best),
            best_epoch=self._tracker_best_epoch,
            path=path,
            state=self._tracker_state(step),
            cause=cause,
        )

    def _tracker_state(self, step: int | None) -> dict[str, Any]:
        return {
            "best": number(self.best),
            "best_epoch": self._tracker_best_epoch,
            "batches": step,
            "kept": [_noted(one) for one in self._tracker_kept] if self.keep is not None else [],
        }

    def _tracker_prune(self, epoch: int, logs: Logs, step: int | None) -> None:
        session = self._tracker_session
        if session is None or not session.is_open:
            return
        named = any(one.monitor for one in self._tracker_kept)
        rule = replace(
            self._tracker_rule(),
            monitor=self.monitor if named else None,
            mode=self._tracker_direction() or self.mode,
        )
        ranked = rule.choose(
            [(one.id, one.value, one.epoch) for one in self._tracker_kept],
            {one.id: one.bytes for one in self._tracker_kept},
        )
        why = dict(zip(ranked.drop, ranked.reasons, strict=True))
        going = [one for one in self._tracker_kept if one.id in why]
        available = {one.id for one in session.run.checkpoints()}
        pruned = session.run.prune_checkpoints(going, why=f"keep={rule.settings}")
        deleted = {one.id for one in pruned}
        gone = {one.id for one in going if not one.path.exists()} - deleted
        self._tracker_kept = [one for one in self._tracker_kept if one.id not in deleted | gone]
        for one in going:
            # Pruned before a kill, at this epoch which is repeated; else somebody took it away.
            if one.id in deleted or (one.id in gone and one.id not in available):
                self._tracker_decide(
                    "pruned", epoch, why[one.id], logs=logs, path=one.path, step=step
                )

    def _tracker_step(self, batch: int | None) -> int | None:
        """Return the run's count of steps after a batch of this epoch; None: at the epoch's end."""
        session = self._tracker_session
        return None if session is None else session.epochs.steps_after(batch)

    def tracker_join(self, session: Session) -> None:
        """Take part in a recording; in another run than before the files and epochs of that one are not its own."""
        self._tracker_refuse_own_saves(session.model)
        super().tracker_join(session)
        if self.background:
            self._tracker_thread = session.run.background_saver()
        if self._tracker_run_id not in (None, session.run.id):
            self._tracker_best_epoch, self._tracker_kept = None, []
            self._tracker_best_is_earlier = self.best is not None
        self._tracker_run_id = session.run.id

    def _tracker_refuse_own_saves(self, model: Any) -> None:
        how = "save_weights" if self.save_weights_only else "save"
        if self.background and not is_of_keras(model, how):
            raise tracker.UsageError(
                f"{type(model).__name__} has a method {how} of its own, which may write more than one file: "
                f"ModelCheckpoint cannot save beside the training then. Leave background out."
            )

    def tracker_leave(self) -> None:
        """Take no part any more; what is being saved has been waited for."""
        super().tracker_leave()
        self._tracker_thread = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the thread that saves."""
        return {**super().__getstate__(), "_tracker_thread": None, "_tracker_unsaved": None}

    def tracker_resume(self, epoch: int) -> None:
        """Continue with the best value, the count of batches and the files of the attempt before."""
        saved, session = self.tracker_saved_state(), self._tracker_session
        if session is None:
            return
        if self.save_freq != "epoch":
            self._tracker_count_on(session, saved)
        if saved is None:
            return
        threshold = (
            (self._tracker_policy.saved_config or {}).get("initial_value_threshold")
            if self._tracker_policy
            else None
        )
        if threshold == self.initial_value_threshold:
            self.best, self._tracker_best_epoch = saved["best"], saved["best_epoch"]
        self._tracker_kept = [_noted_before(one) for one in saved["kept"]]
        if self.save_freq == "epoch":
            self.tracker_catch_up(saved, epoch)

    def _tracker_count_on(self, session: Session, saved: dict[str, Any] | None) -> None:
        """Count the batches since the last save of the attempt before; without one, all of them."""
        last = (saved or {}).get("batches") or 0
        since = session.epochs.steps_before - last
        self._batches_seen_since_last_saving = since % max(self.save_freq, 1)
        self._last_batch_seen = None


def _names_of(run: tracker.Run) -> dict[str, str]:
    """Return what a template may say of the run; a metric of the same name comes first, as in Keras."""
    return {"run": run.id, "name": path_part(run.name), "experiment": path_part(run.experiment)}


def _noted(checkpoint: tracker.Checkpoint) -> dict[str, Any]:
    names = ("id", "epoch", "monitor", "value", "bytes")
    found = {name: getattr(checkpoint, name) for name in names}
    return {**found, "path": str(checkpoint.path)}


def _noted_before(noted: dict[str, Any]) -> tracker.Checkpoint:
    return tracker.Checkpoint(**{"bytes": 0, **noted, "path": Path(noted["path"]), "sha256": ""})
