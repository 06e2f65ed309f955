"""ModelCheckpoint: saves the model while it trains, and keeps the files worth keeping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tracker import BackgroundSaver, BadValue, Checkpoint, policies
from tracker.files import path_part
from tracker_torch.callback import Logs
from tracker_torch.loop.loop import Loop
from tracker_torch.loop.notices import UNWRITABLE
from tracker_torch.loop.save_trigger import Trigger
from tracker_torch.monitored import MonitoredCallback
from tracker_torch.state import checkpoint_file, groups, serialization
from tracker_torch.state.path_template import FileName, MissingMetric
from tracker_torch.state.retention import File, KeptFiles
from tracker_torch.state.snapshot import Snapshot

Write = Callable[[Path], None]
"""Writes what is saved to a path."""


@dataclass(frozen=True)
class Turn:
    """What was judged at one epoch or step, and what is to be saved for it.

    Attributes:
        loop: the training.
        epoch, step, now: where it was; ``now`` as `tracker_torch.loop.advance.Advance` counts.
        value, logs: the watched value, and all that was logged.
        verdict, after: what the rule says, and its state then.
        path: where to save; None: nothing is saved for this verdict.
        write: writes the file; None where nothing is saved at all.
    """

    loop: Loop
    epoch: int
    step: int
    now: tuple[int, int]
    value: float | None
    logs: Mapping[str, Any]
    verdict: policies.Verdict
    after: policies.BestState
    path: Path | None
    write: Write | None


class ModelCheckpoint(MonitoredCallback[policies.BestState]):
    """Save after epochs or steps: everything a training continues from, or the weights.

    It writes exactly the path that ``filepath`` gives. What an earlier run has saved there is kept in the
    data folder first while it is the best of its experiment, see ``keep`` of `tracker.start_run`.

    A ``.pt`` file holds the ``state_dict`` of model, optimizer, scheduler and scaler, the state of
    the random generators, the epoch and the step; `load_checkpoint` brings them back. Every file
    is complete before it gets its name, is recorded with its hash, and only then others go. A file
    that cannot be written (a full disk) is a warning, unless the run is strict.

    Args:
        filepath: ends in .pt, .pth or .safetensors; fields in braces are filled in, see `FileName`.
            Epochs in it count from 1.
        monitor: the metric that says which is best; None: every file is as good as another.
        verbose: 1 prints what Keras prints.
        save_best_only: save only what is better than everything before.
        save_weights_only: save the plain ``model.state_dict()``.
        mode: ``min``, ``max``, or ``auto``: by the metric's name.
        save_freq: ``"epoch"``, or a number of training steps, counted across epochs; 0 is never.
        initial_value_threshold: the first value to beat.
        keep: keep so many files, the best by ``monitor`` (without one, the last); None keeps all. A
            `tracker.policies.Retention` says more: ``Retention(best=3, last=2, every=10, size="20GB")``.
            What it would not keep is not saved.
        save_last: also keep the newest state as ``last.pt`` beside them, at every trigger; with
            ``"link"`` a relative link to the newest file.
        save_on_exception: when training raises, leave its state behind as ``exception.pt``.
        every_n_epochs: instead of ``save_freq``: epochs n, 2n, … counted from 1; 0 is never.
        rules: ``tracker-1`` or ``keras-3.15``, see `tracker.policies.Best`.
        background: whether a thread writes the files while training goes on. What is saved is copied to
            the memory of the CPU first, so that a file holds what it would hold without. One file is written
            at a time: a turn that comes before it is done waits, so that there is one copy at most; its
            memory is kept for the next. An error comes out at the next turn, or at the end of training,
            which waits for the file, as do backups, `tracker.load_checkpoint` and the end of the process.

    Attributes:
        best, best_epoch: the best value so far and its epoch; None where there is none yet. With
            ``background``, as for ``files``: once its file is written.
        files: with ``keep``, what is kept, oldest first: (path below the folder, value, epoch).

    Raises:
        BadValue: for arguments that cannot be, or contradict each other.
    """

    order = 1

    def __init__(
        self,
        filepath: str | Path,
        monitor: str | None = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        *,
        keep: int | policies.Retention | None = None,
        save_last: bool | str = False,
        save_on_exception: bool = False,
        every_n_epochs: int | None = None,
        rules: str = policies.TRACKER,
        background: bool = False,
    ) -> None:
        if not isinstance(background, bool):
            raise BadValue(f"background is {background!r}: it must be True or False.")
        self.background = background
        self.name = FileName(filepath)
        self.trigger = Trigger(save_freq, every_n_epochs)
        self.rule = policies.Best(monitor, mode, rules, initial_value_threshold, save_best_only)
        kept = policies.Retention.of(keep, monitor, mode, rules)
        if keep is not None and kept.most not in (0, 1) and not self.name.fields:
            raise BadValue(
                f"keep is {kept.settings}, but filepath {self.name.template!r} is the same for every save: "
                f"put {{epoch:03d}} or {{step}} into it."
            )
        if save_last not in (True, False, "link"):
            raise BadValue(
                f"save_last is {save_last!r}: it must be True for a file, 'link' for a link to the "
                f"newest file, or False."
            )
        self.filepath, self.monitor, self.verbose = str(filepath), monitor, verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq = save_freq
        self.keep = keep if isinstance(keep, policies.Retention) else kept.best
        self.save_last, self.save_on_exception = save_last, save_on_exception
        self.batch_hooks = self.trigger.by_step and self.trigger.every > 0
        self.state = self.rule.initial()
        self.kept = KeptFiles(self.name, kept)
        self._saved: tuple[int, int] | None = None
        self._named = self._warned = False
        self._saver: BackgroundSaver | None = None
        self._snapshot: Snapshot | None = None
        self._untold: list[tuple[Exception, str]] = []

    @property
    def needs_model(self) -> bool:
        """Always: weights are what it saves."""
        return True

    @property
    def files(self) -> list[File]:
        """What is kept, oldest first."""
        return self.kept.files

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew, or with the best and the files of the resumed run."""
        settings = {**self.rule.as_dict(), "filepath": self.filepath}
        settings |= {"keep": self.kept.rule.settings, "save_freq": self.save_freq}
        if self.monitor is not None:
            settings["mode"] = self.rule.direction
        saved, _ = self.join(monitor=self.monitor, rules=self.rule.rules, config=settings)
        self.state = policies.BestState.from_dict(saved) if saved else self.rule.initial()
        self.kept.load(saved)
        self._saved = None
        self._named = self._warned = False
        self._untold = []
        if self.loop.main:
            self.kept.prune(self.run, self._pruned)
            if self.background:
                self._saver, self._snapshot = self.run.background_saver(), Snapshot()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Wait for the file that is being written, and raise what was in its way."""
        self._finish_saving()
        self._snapshot = None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save where ``save_freq`` steps are done."""
        if self.trigger.at_step(self.loop.step) and self.loop.main:
            self._consider(self.loop.epoch, logs or {}, batch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save where an epoch is the trigger."""
        if self.trigger.at_epoch(epoch) and self.loop.main:
            self._consider(epoch, logs or {}, None)

    def on_exception(self, error: BaseException) -> None:
        """Leave the state behind, unless nothing was trained since the last save."""
        try:
            self._finish_saving()
        finally:
            self._save_once_more(error)

    def _save_once_more(self, error: BaseException) -> None:
        unsaved = self.loop.advance.has_trained_since(self._saved) and not self.run.finished
        if self.save_on_exception and unsaved and self.loop.main:
            path = self.name.folder / f"exception{self.name.suffix}"
            self._write(path, self._content(-1), self.loop.epoch, self.loop.step)
            self._saved = self.loop.advance.now
            reason = f"training raised {type(error).__name__}"
            self.decide(
                "saved",
                reason=reason,
                epoch=self.loop.epoch,
                path=path,
                state=self._memory(),
                cause="exception",
            )

    def _finish_saving(self) -> None:
        """Wait for the file that is being written beside the training, and tell what was in its way."""
        if self._saver is not None:
            self._saver.finish()
        untold, self._untold = self._untold, []
        for error, what in untold:
            self.loop.forgive(error, self, what)

    def _consider(self, epoch: int, logs: Mapping[str, Any], batch: int | None) -> None:
        """Judge; save and prune where it is worth it."""
        self._finish_saving()
        turn = self._judged(epoch, logs, batch)
        if self._saver is None or turn.write is None:
            self._carry_out(turn)
        else:
            self._saver.begin(partial(self._carry_out, turn))

    def _judged(self, epoch: int, logs: Mapping[str, Any], batch: int | None) -> Turn:
        needed = self.save_best_only or self.kept.rule.best is not None
        value = self.watched(self.monitor, logs, epoch) if needed else logs.get(self.monitor or "")
        after, verdict = self.rule.step(self.state, epoch, value, logs)
        path = None
        if verdict.save:
            try:
                path = self._path(epoch, batch, logs)
            except MissingMetric as error:
                verdict = replace(verdict, verdict="skipped", reason=str(error))
                after = self.state
                self._warn_of_no_name(str(error))
        if path is not None and (refusal := self.kept.refuses(path, value, epoch)):
            verdict, path = replace(verdict, verdict="skipped", reason=refusal), None
        self._tell(epoch, path, verdict)
        write = None
        if path is not None or self.save_last is True:
            write = self._content(batch)
        if self._saver is not None and path is not None:
            # The script may change its folder, and the logs, before the file is written.
            path, logs = path.absolute(), dict(logs)
        loop = self.loop
        return Turn(
            loop, epoch, loop.step, loop.advance.now, value, logs, verdict, after, path, write
        )

    def _carry_out(self, turn: Turn) -> None:
        """Save and prune what was judged; a thread beside the training does it where there is one."""
        verdict, saved, trouble = turn.verdict, None, None
        if turn.path is not None:
            facts = {"policy": self.policy, "value": turn.value, "metrics": turn.logs}
            saved, trouble = self._try(turn.path, turn, **facts)
        if trouble is not None:
            verdict = replace(verdict, verdict="skipped", reason=trouble)
        else:
            self.state = turn.after
        if turn.path is not None and saved is not None:
            self.kept.add(turn.path, saved.bytes, turn.value, turn.epoch, self.state.as_dict())
            if self.verbose:
                turn.loop.say(f"\nEpoch {turn.epoch + 1}: finished saving model to {turn.path}")
        self.decide(
            verdict.verdict,
            **verdict.as_decision(),
            step=turn.step,
            path=None if saved is None else turn.path,
            state=self._memory(),
            cause=None if trouble is None else "not-written",
        )
        self._keep_last(turn, is_saved=saved is not None)
        self.kept.prune(self.run, partial(self._pruned, step=turn.step))

    def _warn_of_no_name(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            self.loop.warn(f"{why} What lacks it is not saved; this is not repeated.")

    def report_missing(self, names: Iterable[str]) -> None:
        """Warn at the end as well where no epoch had all that the name asks for."""
        super().report_missing(names)
        if self._warned and not self._named:
            self.loop.warn(
                f"ModelCheckpoint saved nothing as {self.name.template!r}: nothing that was logged has all "
                f"that the name asks for."
            )

    def _path(self, epoch: int, batch: int | None, logs: Mapping[str, Any]) -> Path:
        run = self.run
        facts = {"epoch": epoch + 1, "step": self.loop.step, "run": run.id}
        names = {"name": path_part(run.name), "experiment": path_part(run.experiment)}
        facts |= {name: names[name] for name in names if name in self.name.fields}
        path = self.name.fill(facts if batch is None else facts | {"batch": batch + 1}, logs)
        self._named = True
        return path

    def _try(self, path: Path, turn: Turn, **facts: Any) -> tuple[Checkpoint | None, str | None]:
        """Save; return the file, or what was in the way."""
        assert turn.write is not None
        try:
            saved = self._write(path, turn.write, turn.epoch, turn.step, **facts)
        except UNWRITABLE as error:
            self._forgive(error, turn, f"{path} could not be saved")
            return None, f"could not be saved: {error}"
        self._saved = turn.now
        return saved, None

    def _forgive(self, error: Exception, turn: Turn, what: str) -> None:
        """Continue without a file; the training's own thread tells of it."""
        if self._saver is None or self.run.strict:
            turn.loop.forgive(error, self, what)
        else:
            self._untold.append((error, what))

    def _write(self, path: Path, write: Write, epoch: int, step: int, **facts: Any) -> Checkpoint:
        return self.run.save_checkpoint(path, write, epoch=epoch, step=step, **facts)

    def _content(self, batch: int | None) -> Write:
        """Return what writes the file: of what is trained then, or of a copy of what is trained now."""
        if self._snapshot is None:
            return lambda file: self._dump(file, batch)
        return self._copied(self._snapshot, batch)

    def _dump(self, file: Path, batch: int | None) -> None:
        about = serialization.place(self.loop, complete=batch is None)
        if self._weights_only:
            checkpoint_file.write_weights(self.model, file, about)
        else:
            serialization.write(self._everything(about), file)

    def _copied(self, snapshot: Snapshot, batch: int | None) -> Write:
        about = serialization.place(self.loop, complete=batch is None)
        snapshot.begin()
        try:
            if self._weights_only:
                return checkpoint_file.snapshot_of_weights(
                    self.model, self.name.suffix, about, snapshot.copy
                )
            payload = serialization.plain(self._everything(about), copy=snapshot.copy)
            return partial(serialization.write, payload)
        finally:
            snapshot.end()

    @property
    def _weights_only(self) -> bool:
        return self.save_weights_only or self.name.suffix == ".safetensors"

    def _everything(self, about: Mapping[str, Any]) -> dict[str, Any]:
        parts = groups.of_optimizers(self.model, self.loop.optimizer)
        return {**serialization.collect(self.loop), **about, "groups": parts}

    def _keep_last(self, turn: Turn, *, is_saved: bool) -> None:
        if not self.save_last:
            return
        path = self.name.folder / f"last{self.name.suffix}"
        if self.save_last != "link":
            self._try(path, turn)
        elif is_saved and turn.path is not None:
            try:
                self.run.link_checkpoint(path, turn.path)
            except UNWRITABLE as error:
                self._forgive(error, turn, f"the link {path} could not be made")

    def _pruned(self, path: Path, **facts: Any) -> None:
        self.decide("pruned", **facts, path=path, state=self._memory())

    def _memory(self) -> dict[str, Any]:
        return self.state.as_dict() | self.kept.as_dict()

    def get_state(self) -> dict[str, Any]:
        """Return the best and the files, once what is being saved is among them."""
        if self._saver is not None:
            self._saver.wait()
        return {"state": self._memory()}

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles leave the thread and its memory behind, too."""
        left: dict[str, Any] = {"_saver": None, "_snapshot": None, "_untold": []}
        return {**super().__getstate__(), **left}

    def _tell(self, epoch: int, path: Path | None, verdict: policies.Verdict) -> None:
        if not self.verbose:
            return
        begin, best = f"\nEpoch {epoch + 1}: ", "None" if self.best is None else f"{self.best:.5f}"
        if not self.save_best_only:
            text = f"{begin}saving model to {path}" if verdict.save else f"{begin}{verdict.reason}"
        elif verdict.save and verdict.value is not None:
            text = f"{begin}{self.monitor} improved from {best} to {verdict.value:.5f}, saving model to {path}"
        else:
            text = f"{begin}{self.monitor} did not improve from {best}"
        self.loop.say(text)
