"""Training: a loop that stays yours, with Keras' callbacks around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from pathlib import Path
from time import perf_counter
from typing import Any, NoReturn, Self

from tracker import Checkpoint, Ownership, Run, RunClosed, RunError
from tracker.policies.validation import log_every as checked_log_every
from tracker_torch.callback import Callback, as_callbacks
from tracker_torch.callback_list import CallbackList
from tracker_torch.callbacks.base_logger import BaseLogger
from tracker_torch.callbacks.history import History
from tracker_torch.loop import validation
from tracker_torch.loop.batches import Batches
from tracker_torch.loop.progress import Progress
from tracker_torch.state.checkpoint_file import load_parts
from tracker_torch.state.serialization import PARTS


class Stage(Enum):
    """What a `Training` is doing."""

    NEW = auto()
    IN_EPOCH = auto()
    BETWEEN_EPOCHS = auto()
    OVER = auto()
    """Its loop has ended, its ``with`` has not."""
    CLOSED = auto()


_IN_EPOCH = Stage.IN_EPOCH
"""A member of an Enum is slow to look up, and `Training.log` asks for it at every step."""


class Training:
    """Records a training and calls its callbacks; the loop is yours.

        with Training(model, optimizer, epochs=50, callbacks=[EarlyStopping(patience=3)]) as training:
            for epoch in training.epochs():
                for x, y in training.batches(loader):
                    ...
                    training.log(loss=loss, batch_size=len(x))
                training.log_epoch(val_loss=validate(model))

    It joins the active run, and adds ``params``, ``tags`` and ``monitor`` to it (what else it was given,
    and the run is not, is a warning); where there is none it starts one, and ends it at the end of the block.
    Without ``with``, the end of ``epochs()`` is the end; if you leave that loop by ``break``, call
    `close`. One that was left by ``break`` or an error and not closed ends as interrupted when the
    next training begins.

    Args:
        model: a module, or a mapping or sequence of modules.
        optimizer: likewise.
        epochs: how many there are in all, those of a resumed run's earlier attempts included; a second
            training in one run has so many of its own, numbered after those of the first.
        experiment, name, params, tags, database, resume, strict: see `tracker.start_run`.
        monitor, mode, keep, keep_bytes, remote, system_metrics, price_per_hour: likewise.
        callbacks: see `CallbackList`.
        run: the run to record into, instead of the active one.
        scheduler: a `torch.optim.lr_scheduler` that you step; saved and restored with the rest.
        scaler: a `torch.amp.GradScaler`, likewise.
        log_every: also stream what was logged in every so many-th step to ``run.log``.
        progress: whether to draw a bar; by default on a terminal only.
        verbose: 1 says on standard error where it records, once per database and process; 0 is silent.

    Attributes:
        run: what is recorded; for more than the loop logs, ``training.run.log(...)``.
        history: the `History`; ``training.history.history["val_loss"]`` is a list.
        epoch, step: the 0-based epoch at hand, and how many training batches are done in all.

    Raises:
        BadValue: ``epochs`` or ``log_every`` is not such a number.
        UsageError: a callback, model or optimizer is something else; when training begins, ``resume`` is
            given, and a run is active already.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        epochs: int,
        *,
        experiment: str | None = None,
        name: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | Iterable[str] | None = None,
        database: str | Path | None = None,
        resume: str | None = None,
        callbacks: Iterable[Callback] | Callback | None = (),
        run: Run | None = None,
        scheduler: Any = None,
        scaler: Any = None,
        log_every: int | None = None,
        progress: bool | None = None,
        strict: bool = False,
        monitor: str | None = None,
        mode: str | None = None,
        keep: str | None = None,
        keep_bytes: int | str | None = None,
        remote: str | None = None,
        system_metrics: bool | None = None,
        price_per_hour: float | None = None,
        verbose: int = 1,
    ) -> None:
        epochs, log_every = validation.epochs(epochs), checked_log_every(log_every)
        given = as_callbacks(callbacks)
        self._means = next(
            (entry for entry in given if isinstance(entry, BaseLogger)), BaseLogger()
        )
        self.callbacks = CallbackList(
            dict.fromkeys([self._means, *given]),
            model,
            optimizer,
            scheduler=scheduler,
            scaler=scaler,
            add_history=True,
            epochs=epochs,
        )
        self.callbacks.fed = self._means
        self.callbacks.ownership = Ownership(
            self,
            "Training",
            run,
            main=self.callbacks.main,
            experiment=experiment,
            name=name,
            params=params,
            tags=tags,
            database=database,
            resume=resume,
            strict=strict,
            monitor=monitor,
            mode=mode,
            keep=keep,
            keep_bytes=keep_bytes,
            remote=remote,
            system_metrics=system_metrics,
            price_per_hour=price_per_hour,
            verbose=verbose,
        )
        if log_every:
            self.callbacks.advance.waits_for_batches.append("log_every")
        self._epochs = epochs
        self._bar = Progress(progress if self.callbacks.main else False, epochs)
        self._batches = Batches(self.callbacks, self._bar, log_every)
        self._stage = Stage.NEW
        self._in_block = self._loop_was_left = False

    @property
    def run(self) -> Run:
        """What is recorded; the first to ask for it has it joined or started."""
        return self.callbacks.run

    def _repr_html_(self) -> str | None:
        """Show the run in a notebook; before the first epoch there is none, and showing one starts none."""
        return None if self._stage is Stage.NEW else self.run._repr_html_()

    @property
    def epoch(self) -> int:
        """The 0-based epoch at hand."""
        return self.callbacks.epoch

    @property
    def step(self) -> int:
        """How many training batches are done in all."""
        return self._batches.step

    @property
    def history(self) -> History:
        """What every epoch logged."""
        assert self.callbacks.history is not None
        return self.callbacks.history

    @property
    def stop_training(self) -> bool:
        """Whether training ends after this epoch (on one process: after this batch)."""
        return self.callbacks.stop_training

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        self.callbacks.stop_training = value

    def epochs(self) -> Iterator[int]:
        """Yield the number of each epoch, from where a resumed run stopped until a callback ends training."""
        self._need(
            Stage.NEW,
            "epochs() was called before: one Training is one loop. Start another for the next.",
        )
        self.callbacks.on_train_begin()
        self._stage = Stage.BETWEEN_EPOCHS
        first = self.callbacks.first_epoch
        # The next phase of a run has so many epochs of its own.
        self._epochs += self.callbacks.phase_begin
        self._bar.epochs = self._epochs
        if first >= self._epochs > self.callbacks.phase_begin:
            self.callbacks.warn(
                f"run {self.run.name} has {first} epochs already, and epochs is {self._epochs}: "
                f"nothing is left to train. Pass a higher number to continue."
            )
            # The next training in this run comes after what this one would have trained.
            self.run.trained.last_epoch = self._epochs - 1
        try:
            for epoch in range(first, self._epochs):
                if self.stop_training:
                    break
                self.callbacks.on_epoch_begin(epoch)
                self._stage = Stage.IN_EPOCH
                self._began = perf_counter()
                yield epoch
                if self._stage is Stage.IN_EPOCH:
                    self.log_epoch()
                self.callbacks.on_epoch_close(epoch)
                self.callbacks.agree_to_stop(epoch)
        except GeneratorExit:
            self._loop_was_left = True
            raise
        self._end()

    def batches(self, loader: Iterable[Any], *, train: bool = True) -> Iterator[Any]:
        """Yield what ``loader`` yields, with a progress bar; ends early when a callback stops.

        Args:
            loader: a `DataLoader` or anything that can be iterated, with a length or without.
            train: False for validation: its batches are not steps, and call the hooks for tests.
        """
        self._need(
            Stage.IN_EPOCH,
            "batches() belongs into `for epoch in training.epochs():`, before log_epoch().",
        )
        return self._batches.train(loader) if train else self._batches.test(loader)

    def log(
        self,
        metrics: Mapping[str, Any] | None = None,
        /,
        *,
        batch_size: float | None = None,
        **named: Any,
    ) -> None:
        """Count values toward the epoch's averages.

        Args:
            metrics: names and one number each; a tensor stays on its device until the epoch ends.
            batch_size: the weight of these values, 1 by default.
            **named: more of them.

        Raises:
            BadValue: for a value that is not one number.
        """
        if self._stage is not _IN_EPOCH:
            self._refuse(
                "log() belongs into an epoch, before log_epoch(); elsewhere: training.run.log()."
            )
        if metrics is not None:
            named = validation.metrics("log", metrics, named)
        values = self._means.add(named, batch_size)
        if self._batches.logged is not None:
            self._batches.note(values)

    def log_epoch(self, metrics: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """End the epoch: record its averages and these values, and let the callbacks judge it.

        The epoch is on disk when this returns. Without a call, the averages are recorded at the end
        of the loop's body.
        """
        self._need(
            Stage.IN_EPOCH,
            "log_epoch() belongs into `for epoch in training.epochs():`, once in each epoch.",
        )
        logs = validation.metrics("log_epoch", metrics, named)
        self._batches.close_batch()
        self.callbacks.judge(self.epoch, logs)
        self._stage = Stage.BETWEEN_EPOCHS
        self._bar.report(self.epoch, logs, perf_counter() - self._began)

    def load(self, checkpoint: str | Path | Checkpoint, *, rng: bool = True) -> None:
        """Continue from a checkpoint of `ModelCheckpoint`: call it before ``epochs()``.

        Everything in the file comes back, and training continues with the epoch after it; one that was
        not over begins again, at its first step. A warning names the parts that the file lacks. For
        weights to begin a new training with, use `load_checkpoint`.

        Args:
            checkpoint: a path, or an entry of ``run.checkpoints()``, whose hash is compared first.
            rng: whether the random generators are set as well.

        Raises:
            CheckpointError: see `load_checkpoint`.
            RunError: after ``epochs()``.
        """
        self._need(Stage.NEW, "load() must come before epochs().")
        loop = self.callbacks
        for callback in loop.callbacks:
            # The schedulers of callbacks come back as well.
            callback.set_loop(loop)
        loop.settings.note()
        parts = {part: getattr(loop, part) for part in PARTS}
        about, missing = load_parts(checkpoint, parts, rng=rng, need_all=False)
        if missing:
            path = getattr(checkpoint, "path", checkpoint)
            loop.warn(
                f"{path} holds no {' and no '.join(missing)}: what it lacks begins anew, "
                f"but for learning rates and schedules that callbacks recorded."
            )
        loop.restored, loop.lacking = True, frozenset(missing)
        loop.settings.took_back(set(PARTS) - loop.lacking, about.get("settings"))
        if about["epoch"] is not None:
            loop.step = about["next_step"]
            self.run.rewind(about["epoch"] + about["complete"])

    def close(self, error: BaseException | None = None) -> None:
        """End the training, if ``epochs()`` has not; with ``error``, as one that failed."""
        if self._stage is Stage.CLOSED:
            return
        self._batches.close_batch(done=error is None)
        if error is not None:
            self.callbacks.on_exception(error)
        elif self._stage in (Stage.IN_EPOCH, Stage.BETWEEN_EPOCHS):
            if not self.stop_training:
                where = "in" if self._stage is Stage.IN_EPOCH else "after"
                self.run.note_stop(
                    f"the loop was left {where} epoch {self.epoch} (0-based) of {self._epochs}"
                )
            self._end()
        elif self._stage is Stage.NEW and self._epochs:
            self._note_no_epoch()
        self._stage = Stage.CLOSED
        self.callbacks.close(error)

    def is_left(self) -> bool:
        """Whether the loop over ``epochs()`` was left by ``break`` or an error, and nobody called `close`."""
        return self._loop_was_left and not self._in_block and self._stage is not Stage.CLOSED

    def close_left(self) -> None:
        """End a training that was left: its run, if it was started for it, was interrupted."""
        self._batches.close_batch(done=False)
        self._stage = Stage.CLOSED
        self.callbacks.close_left()

    def _note_no_epoch(self) -> None:
        """Say that nothing was trained; the run did not end as a training does."""
        run = self.run
        self.callbacks.warn(
            f"the training of run {run.name} ended without an epoch of its {self._epochs}: write "
            f"`for epoch in training.epochs():` around what trains."
        )
        if self.callbacks.ownership.started:
            run.note_stop(f"training ended before its first epoch (of {self._epochs})")

    def _end(self) -> None:
        self._stage = Stage.OVER
        self.callbacks.wrap_up()
        if not self._in_block:
            self.close()

    def _need(self, stage: Stage, otherwise: str) -> None:
        if self._stage is not stage:
            self._refuse(otherwise)

    def _refuse(self, otherwise: str) -> NoReturn:
        if self._stage is Stage.CLOSED:
            raise RunClosed(f"this Training of run {self.run.name} is closed. Start another one.")
        raise RunError(otherwise)

    def __enter__(self) -> Self:
        if self._stage is Stage.CLOSED:
            self._refuse("")
        self.callbacks.claim_run()
        self._in_block = True
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._in_block = False
        self.close(error)
