"""TrackerCallback, without its base class: sees a Trainer's events and has them recorded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import tracker
from tracker.policies import reasons
from tracker_integrations.lightning_parts import resumed
from tracker_integrations.lightning_parts.files import WatchedFiles
from tracker_integrations.lightning_parts.kinds import of_kind
from tracker_integrations.lightning_parts.logger import LoggerParts
from tracker_integrations.lightning_parts.metrics import Metrics
from tracker_integrations.lightning_parts.stops import WatchedStop
from tracker_integrations.lightning_parts.tuned import (
    WatchedAveraging,
    record_found_rate,
)
from tracker_integrations.recording import Recording

SWITCH = "TRACKER_LIGHTNING"


class TurnParts:
    """What stands before all other callbacks: tells a `CallbackParts` that an epoch begins.

    Args:
        watcher: what records the training.
    """

    def __init__(self, watcher: CallbackParts) -> None:
        super().__init__()
        self._watcher = watcher

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Have the epoch before closed."""
        self._watcher.turn_epoch(trainer)


class CallbackParts:
    """Record a Trainer's ``fit``: epochs, steps, what its callbacks decide, the files it saves, how it ends.

    Every Trainer gets one by itself where local-tracker is installed; ``TRACKER_LIGHTNING=off`` leaves those out
    that have no TrackerLogger. With a TrackerLogger it records into that logger's run.
    """

    turn: type[TurnParts]

    def __init__(self) -> None:
        super().__init__()
        self.recording: Recording | None = None
        self._logger: LoggerParts | None = None
        self._metrics = Metrics()
        self._forget()

    def _forget(self) -> None:
        self._stops: list[WatchedStop] = []
        self._files: list[WatchedFiles] = []
        self._averaging: list[WatchedAveraging] = []
        self._optimizers: list[Any] = []
        self._epoch: int | None = None
        self._ended = self._saving = self._in_batch = self._fits = False
        self._rates: tuple[Any, Any] = (None, None)
        self._global_step = 0

    # How it begins

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Prepare to record a fit: which run it continues is known when a checkpoint has been loaded."""
        self._logger = next((one for one in trainer.loggers if isinstance(one, LoggerParts)), None)
        self.recording = None
        if self._logger is not None and not trainer.is_global_zero:
            self._logger.recording.main = False
        if stage != "fit" or not self._is_wanted(trainer):
            return
        self._forget()
        self._metrics = Metrics()
        if self._logger is not None:
            self.recording = self._logger.recording
            self._logger.watch = self
        else:
            self.recording = Recording("TrackerCallback")
        self.recording.default(experiment=type(pl_module).__name__)
        ours = self, *(one for one in trainer.callbacks if isinstance(one, TurnParts))
        others = [one for one in trainer.callbacks if one not in ours]
        # After all others, those that Lightning puts last included: they have decided by then. But an epoch is
        # closed before any of them begins the next: LearningRateMonitor has that one's rate in its metrics then.
        trainer.callbacks = [self.turn(self), *others, self]

    def _is_wanted(self, trainer: Any) -> bool:
        ours = [one for one in trainer.callbacks if isinstance(one, CallbackParts)]
        if any(one.recording is not None for one in ours):
            # Another one of us does: the entry point's, and one that was given.
            return False
        if trainer.fast_dev_run or not trainer.is_global_zero:
            return False
        if self._logger is not None:
            return True
        is_off = os.environ.get(SWITCH, "").strip().lower() in ("off", "0", "false", "no")
        return not is_off and not getattr(trainer, "barebones", False)

    def on_load_checkpoint(
        self, trainer: Any, pl_module: Any, checkpoint: Mapping[str, Any]
    ) -> None:
        """Continue the run that the checkpoint names; a tuner's own names none, and no run begins with it."""
        earlier = resumed.run_of(checkpoint)
        if self.recording is not None and earlier is not None and trainer.state.fn == "fit":
            self._begin(earlier)

    def _begin(self, resume: str | None = None) -> None:
        assert self.recording is not None
        try:
            self.recording.begin(resume)
        except tracker.TrackerError as error:
            if self._logger is not None:
                raise
            # Nobody asked for this recording: training goes on without it.
            self.recording.warn(f"this training is not recorded: {error}")
            self.recording = None

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin the run where no checkpoint has, and record what is trained, and with what."""
        self._fits = True
        if self.recording is not None:
            self._begin()
        if self.recording is None:
            return
        self.recording.capture(**_facts(trainer, pl_module))
        if self._logger is None:
            self.recording.log_params(_hyperparameters(trainer, pl_module))

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to watch, with what a checkpoint has brought back."""
        if (recording := self.recording) is None:
            return
        recording.starts_at(trainer.current_epoch)
        callbacks = list(enumerate(trainer.callbacks))
        stops = {key: one for key, one in callbacks if [*of_kind([one], "EarlyStopping")]}
        files = {key: one for key, one in callbacks if [*of_kind([one], "ModelCheckpoint")]}
        self._stops = [
            WatchedStop(recording, one, key, trainer.min_epochs) for key, one in stops.items()
        ]
        self._files = [WatchedFiles(recording, one, key) for key, one in files.items()]
        self._averaging = [
            WatchedAveraging(recording, one)
            for one in trainer.callbacks
            if WatchedAveraging.watches(one)
        ]
        self._optimizers = list(trainer.optimizers)
        record_found_rate(recording, trainer, self._rates[0])
        self._begin_epoch(trainer)

    # What happens in it

    def turn_epoch(self, trainer: Any) -> None:
        """Close the epoch before, whose callbacks have decided and whose metrics are complete; begin the next."""
        self._close_epoch(trainer)
        self._begin_epoch(trainer)

    def _begin_epoch(self, trainer: Any) -> None:
        if self.recording is not None:
            self._epoch = trainer.current_epoch
            self._rates = (None, None)
            self._metrics.begin_epoch(trainer.callback_metrics)

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the learning rate, which schedulers change when the batch ends."""
        if self.recording is None:
            return
        self._in_batch = True
        if self._optimizers:
            rates = [group["lr"] for one in self._optimizers for group in one.param_groups]
            self._rates = (rates if self._rates[0] is None else self._rates[0], rates)
        if self._logger is None and self._logs_this_step(trainer):
            self._global_step = trainer.global_step
            self._metrics.begin_batch(trainer.callback_metrics)

    def _logs_this_step(self, trainer: Any) -> bool:
        every = trainer.log_every_n_steps
        return bool(every) and (_logger_step(trainer) + 1) % every == 0

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the step's metrics where no logger is told them, and the files that were saved."""
        if self.recording is None:
            return
        if self._logger is None and self._logs_this_step(trainer):
            stepped = trainer.global_step != self._global_step
            if stepped or not pl_module.automatic_optimization:
                new = self._metrics.of_batch(trainer.callback_metrics)
                self.recording.log(new, _logger_step(trainer))
        self._look_at_files(trainer)

    def takes(self, metrics: Mapping[str, Any]) -> bool:
        """Say whether what the logger is told are step metrics; those of an epoch are read when it ends."""
        if self._in_batch:
            self._metrics.note_steps(metrics)
            return True
        # Lightning adds the epoch, unless the metrics came with a step of their own.
        return "epoch" not in metrics

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Leave the batch: what is logged now is the validation's."""
        self._in_batch = False

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """See what callbacks have decided by the validation's metrics."""
        if self.recording is None or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        metrics = trainer.callback_metrics
        if _validates_within(trainer):
            new = self._metrics.of_epoch(metrics)
            self.recording.log(new, _logger_step(trainer))
        self._look_at_stops(trainer, metrics)
        self._look_at_files(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Note that the epoch is over; the module and other callbacks may still add to it."""
        self._in_batch, self._ended = False, True

    def _close_epoch(self, trainer: Any) -> None:
        """Record the epoch that is over, then what was decided at its end."""
        if (recording := self.recording) is None or not self._ended or self._epoch is None:
            return
        self._ended, epoch = False, self._epoch
        known = trainer.callback_metrics
        step = _logger_step(trainer)
        first, last = self._rates
        rate = float(last[0]) if last else None
        recording.log_epoch(
            epoch,
            self._metrics.of_epoch(known),
            learning_rate=rate,
            step=step,
            learning_rates=_by_group(first, last) if last else None,
        )
        self._look_at_stops(trainer, known)
        self._look_at_files(trainer, at_end=True)
        for one in self._averaging:
            one.end_epoch(epoch, rate)

    def _look_at_stops(self, trainer: Any, metrics: Mapping[str, Any]) -> None:
        epoch = self._epoch or 0
        held = self._held(trainer, epoch)
        for one in self._stops:
            one.look(epoch, _logger_step(trainer), metrics.get(one.monitor), held)

    def _held(self, trainer: Any, epoch: int) -> str | None:
        """Return why Lightning does not stop yet, although a callback says so."""
        fewest = trainer.min_epochs or 0
        if epoch + 1 < fewest:
            return reasons.held_by_min_epochs(fewest)
        if trainer.global_step < (trainer.min_steps or 0):
            return f"training continues until {trainer.min_steps} steps are done"
        return None

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Let the file name its run, so that a training that starts from it continues the run."""
        if self.recording is not None and self.recording.has_begun:
            self._saving = True
            resumed.name_run(checkpoint, self.recording.run)

    def _look_at_files(self, trainer: Any, *, at_end: bool = False) -> None:
        recording = self.recording
        if recording is None or not (self._saving or at_end):
            return
        self._saving = False
        epoch, step = self._epoch or 0, _logger_step(trainer)
        known = trainer.callback_metrics
        metrics = recording.numbers(known)
        # An epoch without a validation has the metric of an earlier one.
        own = recording.numbers(self._metrics.of_epoch(known)) if at_end else {}
        for one in self._files:
            one.look(epoch, step, metrics)
            if at_end:
                one.end_epoch(epoch, step, own)

    # How it ends

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Close the last epoch."""
        if self.recording is None:
            return
        self._close_epoch(trainer)
        self._look_at_files(trainer)
        for one in self._averaging:
            one.end(self._epoch or 0)

    def _why_stopped(self, trainer: Any) -> str:
        for one in self._stops:
            if one.reason is not None:
                return one.reason
        for timer in of_kind(trainer.callbacks, "Timer"):
            left = timer.time_remaining()
            if left is not None and left <= 0:
                return reasons.out_of_time(f"{timer._duration:g} s")
        return reasons.stop_was_set("trainer.should_stop: something", self._epoch)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """End the run because of an error, after the epoch that was complete by then."""
        if (recording := self.recording) is None:
            return
        # Whatever raised may have left the trainer half set up: its own error is the one to tell.
        with suppress(Exception):
            self._close_epoch(trainer)
            self._look_at_files(trainer)
        recording.fail(exception)
        self._leave()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """End the run, and say why training stopped, where it did."""
        if self.recording is not None and stage == "fit":
            if not self._fits:
                # Lightning's Tuner leaves before there is a training; its folder had asked for a run.
                self.recording.withdraw()
            if trainer.should_stop and not self.recording.stopped:
                self.recording.stop(self._why_stopped(trainer))
            self.recording.end()
        self._leave()

    def _leave(self) -> None:
        if self._logger is not None:
            self._logger.watch = None
        self._forget()
        self.recording = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the training behind: a copy watches its own."""
        copied = type(self).__new__(type(self))
        CallbackParts.__init__(copied)
        return copied.__dict__


def _logger_step(trainer: Any) -> int:
    """Return the step that Lightning's loggers are told: of the optimizer, or of each batch of a manual one."""
    loop = getattr(trainer.fit_loop, "epoch_loop", None)
    return int(getattr(loop, "_batches_that_stepped", trainer.global_step))


def _validates_within(trainer: Any) -> bool:
    """Say whether an epoch has several validations, of which its row holds the last."""
    return trainer.val_check_interval != 1.0 or trainer.check_val_every_n_epoch is None


def _by_group(first: list[Any], last: list[Any]) -> dict[str, tuple[float, float]]:
    return {
        str(number): (float(begin), float(end))
        for number, (begin, end) in enumerate(zip(first, last, strict=False))
    }


def _hyperparameters(trainer: Any, pl_module: Any) -> dict[str, Any]:
    """Return what ``save_hyperparameters()`` of module and datamodule keep for loggers."""
    found: dict[str, Any] = {}
    for source in (trainer.datamodule, pl_module):
        if source is not None and getattr(source, "_log_hyperparams", False):
            found.update(source.hparams_initial)
    return found


def _facts(trainer: Any, pl_module: Any) -> dict[str, Any]:
    """Return what a resumed training is compared with."""
    parameters = list(pl_module.parameters())
    return {
        "model": {
            "class": type(pl_module).__qualname__,
            "parameters": sum(_size(one) for one in parameters),
            "trainable": sum(_size(one) for one in parameters if one.requires_grad),
        },
        "optimizer": [type(one).__name__ for one in trainer.optimizers],
        "loop": {
            "max_epochs": trainer.max_epochs,
            "max_steps": trainer.max_steps,
            "accumulate_grad_batches": trainer.accumulate_grad_batches,
            "gradient_clip_val": trainer.gradient_clip_val,
            "precision": str(trainer.precision),
            "world_size": trainer.world_size,
            "strategy": type(trainer.strategy).__name__,
            "accelerator": type(trainer.accelerator).__name__,
        },
    }


def _size(parameter: Any) -> int:
    """Return how many numbers a parameter has; 0 where a lazy one does not know yet."""
    try:
        return int(parameter.numel())
    except (ValueError, RuntimeError):
        return 0
