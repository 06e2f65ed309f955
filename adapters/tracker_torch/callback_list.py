"""CallbackList: the hooks, for a loop of any shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any
from weakref import ref

import tracker
from tracker import Ownership, Run, RunError, StoreError, UsageError, numbers, policies
from tracker_torch.callback import Callback, Logs, as_callback, as_callbacks
from tracker_torch.callbacks.history import History
from tracker_torch.loop import distributed, validation
from tracker_torch.loop.accumulation import Accumulation
from tracker_torch.loop.advance import Advance
from tracker_torch.loop.batch_logs import BatchLogs
from tracker_torch.loop.notices import Notices
from tracker_torch.loop.position import Position
from tracker_torch.loop.rates_used import RatesUsed
from tracker_torch.loop.stop_request import StopRequest
from tracker_torch.state import capture
from tracker_torch.state.serialization import named
from tracker_torch.state.settings import ScriptSettings


class CallbackList:
    """Calls every callback at the right moment, and records each epoch.

        callbacks = CallbackList([EarlyStopping(patience=3)], model=model, optimizer=optimizer)
        callbacks.on_train_begin()
        for epoch in range(callbacks.first_epoch, 50):
            ...
            callbacks.on_epoch_end(epoch, {"val_loss": val_loss})
            if callbacks.stop_training:
                break
        callbacks.on_train_end()

    Hooks may be left out, but for ``on_train_begin`` and ``on_epoch_end``. Values may be numbers
    and one-element tensors; callbacks get floats.

    Args:
        callbacks: they have their turn in this order; at the end of a batch or epoch by `Callback.order` first.
        model: a module, or a mapping or sequence of modules (a GAN has two).
        optimizer: likewise. With several, Keras' names are used: ``learning_rate_<name>``.
        scheduler: a `torch.optim.lr_scheduler`, saved and restored with the rest; you step it.
        scaler: a `torch.amp.GradScaler`, likewise.
        add_history: whether to add a `History`, found in ``history``.
        run: the run to record into; by default the active one, else ``on_train_begin`` starts one
            and ``on_train_end`` ends it.
        start: starts that run, `tracker.start_run` by default.
        **params: what callbacks find in ``params``: ``epochs``, ``steps``.

    Attributes:
        model, optimizer, scheduler, scaler: what is trained, each one thing, a mapping or a sequence.
        epoch, step: the 0-based epoch at hand, and how many training batches are done in all.
        first_epoch: where to begin; more than 0 when a run or a backup was resumed.
        is_next_phase, phase_begin: whether an earlier training of this process recorded into the run, and
            the epoch after its last: the numbering continues there.
        restored: whether the training came back from a backup or a checkpoint.
        lacking: the parts that this checkpoint did not hold.
        settings: what the script says of optimizers and schedulers; in a training that came back, what it
            said where that training began.
        position: where it is in its data.
        rates: the learning rates that the epoch was trained with, under the names they are logged by.
        rates_used: notes them at every step of an optimizer.
        advance: how far it is, and whether its batches are reported.
        accumulation: notes over how many batches gradients are accumulated, where batches are backed up.
        main: whether this process writes files and talks (rank 0, or the only one).
        ownership: whose run it is.
        stop_request: whether training is to end; ``stop_training`` and ``stop`` ask it.

    Raises:
        UsageError: a callback, model or optimizer is something else.
    """

    def __init__(
        self,
        callbacks: Iterable[Callback] | Callback | None = (),
        model: Any = None,
        optimizer: Any = None,
        *,
        scheduler: Any = None,
        scaler: Any = None,
        add_history: bool = False,
        run: Run | None = None,
        start: Callable[..., Run] = tracker.start_run,
        **params: Any,
    ) -> None:
        validation.check_trained(model, optimizer)
        self.callbacks = as_callbacks(callbacks)
        if add_history and self.history is None:
            self.callbacks.append(History())
        self.model, self.optimizer = model, optimizer
        self.scheduler, self.scaler = scheduler, scaler
        self.params: dict[str, Any] = params
        self.main = distributed.rank() == 0
        self.first_epoch = self.epoch = self.step = 0
        self.restored = self.is_next_phase = False
        self.phase_begin = self._recorded_step = 0
        self.lacking: frozenset[str] = frozenset()
        self.settings = ScriptSettings(self)
        self.position = Position()
        self.rates: dict[str, float] = {}
        self.rates_used = RatesUsed()
        self.advance = Advance(self)
        self.accumulation = Accumulation()
        own_start = None if start is tracker.start_run else start
        self.ownership = Ownership(self, "CallbackList", run, main=self.main, start=own_start)
        self.stop_request = StopRequest()
        self.fed: Callback | None = None
        """The one that `Training.log` adds to: batches have nothing more for it."""
        self._notices = Notices(self.main)
        self._live = self._unbuilt = False
        self._hooks: dict[str, list[Callable[..., None]]] = {}
        self._began = perf_counter()
        self._names: dict[str, None] = {}

    @property
    def run(self) -> Run:
        """The run that is recorded: the one handed over, else the active one, else one of our own."""
        if self.ownership.run is None:
            self.claim_run()
        assert self.ownership.run is not None
        return self.ownership.run

    def claim_run(self) -> None:
        """Make the run this training's own, as far as recording goes; a second time changes nothing.

        Raises:
            UsageError: another training has the run or one of the callbacks, or a callback that
                saves weights has no model. Nothing has been written then.
        """
        for callback in self.callbacks:
            self._check_free(callback)
        for note in self.ownership.claim():
            self.warn(note)

    def _check_free(self, callback: Callback) -> None:
        name, present = type(callback).__name__, callback.present_loop
        if present is not None and present is not self and present.live:
            raise UsageError(
                f"this {name} still belongs to the training of run {present.run.name}, and would record "
                f"into two: make one for each, or end that training first (leave its `with`, or call "
                f"close(), with a CallbackList on_train_end())."
            )
        if callback.needs_model and not named(self.model):
            raise UsageError(
                f"{name} keeps the model's weights, but there is no model: "
                f"CallbackList([…], model=model, optimizer=optimizer)."
            )

    @property
    def live(self) -> bool:
        """Whether training has begun, has not ended, and is still driven by somebody."""
        return self._live and not self.ownership.has_ended and not self.ownership.is_left

    def is_left(self) -> bool:
        """Whether nobody drives this training any more: of hooks alone, nobody can tell."""
        return False

    def close_left(self) -> None:
        """End the run as interrupted if it was started here."""
        self._live = False
        self._release()
        self.ownership.end("interrupted", "training was left before it ended")

    @property
    def stop_training(self) -> bool:
        """Whether training is to end. ``model.stop_training = True``, Keras' way, counts too."""
        return self.stop_request.made

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        if value:
            self.stop(policies.reasons.stop_was_set("the loop", self.epoch))
            return
        if self.stop_request.reason is not None:
            self.run.note_stop(None)
        self.stop_request.withdraw()

    def stop(self, reason: str) -> None:
        """End training, for a reason that is kept with the run; of several in an epoch the first counts."""
        if self.stop_request.make(reason, self.epoch):
            self.run.note_stop(reason)

    def agree_to_stop(self, epoch: int) -> None:
        """End training on every rank where one has ended it, and keep which and why."""
        if self.stop_training and self.stop_request.reason is None:
            self.stop(policies.reasons.stop_was_set("the loop or the model", epoch))
        reasons = distributed.gather(self.stop_request.reason)
        first = next((rank for rank, reason in enumerate(reasons) if reason is not None), None)
        if first is not None and self.stop_request.reason is None:
            self.stop(f"rank {first} stopped after epoch {epoch}: {reasons[first]}")

    @property
    def has_its_rates(self) -> bool:
        """Whether the learning rates came back with the optimizer; else a run's record has them."""
        return self.restored and "optimizer" not in self.lacking

    def say(self, text: str) -> None:
        """Print what Keras prints with ``verbose=1``, on one process only."""
        self._notices.say(text)

    def warn(self, text: str) -> None:
        """Warn, on one process only."""
        self._notices.warn(text)

    def forgive(self, error: Exception, who: object, what: str) -> None:
        """Continue without a file: warn, once for each ``who`` in a training.

        Args:
            error: an OSError or a `tracker.NotWritable`.
            who: the callback whose file it was.
            what: the file and what did not happen to it: ``log.csv could not be written``.

        Raises:
            OSError, NotWritable: ``error``, where the run is strict.
        """
        if self.run.strict:
            raise error
        self._notices.forgive(error, who, what)

    @property
    def history(self) -> History | None:
        """The `History` among the callbacks."""
        return next((entry for entry in self.callbacks if isinstance(entry, History)), None)

    def append(self, callback: Callback) -> None:
        """Add a callback, before training begins."""
        self.callbacks.append(as_callback(callback))

    def hears(self, hook: str) -> bool:
        """Whether any callback has something to do at ``hook``."""
        return bool(self._listeners(hook))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Join or start the run, and let each callback take up its state.

        Raises:
            UsageError: another training has the run or one of the callbacks, or a callback that
                saves weights has no model.
        """
        # Forget a stop, as Keras does, and a run of ours that has ended.
        if self.ownership.has_ended:
            self.epoch = self.step = 0
        self._live = False
        self._notices.begin()
        self.stop_request.begin(self.model)
        self.claim_run()
        try:
            self._begin(numbers(logs or {}))
        except BaseException as error:
            self.ownership.fail(error)
            raise

    def _begin(self, logs: dict[str, float]) -> None:
        self._hooks = {}
        for callback in self.callbacks:
            callback.set_params(self.params)
            callback.set_model(self.model)
            callback.set_loop(self)
        self.settings.note()
        self.run.at_exit = ("interrupted", "the process ended before its training did")
        last = None if self.restored else self.run.trained.last_epoch
        self.is_next_phase, self.phase_begin = last is not None, 0 if last is None else last + 1
        # Epochs that another training of this process recorded are not added to.
        self.run.rewind(max(self.run.first_epoch, self.phase_begin))
        self.epoch = max(0, distributed.share(self.run.first_epoch) - 1)
        # A backup comes back before anybody looks at the state.
        for callback in self.callbacks:
            if callback.restores:
                callback.on_train_begin(logs)
        if not self.restored:
            self.step = distributed.share(self._steps_before())
        for callback in self.callbacks:
            if not callback.restores:
                callback.on_train_begin(logs)
        self.first_epoch = distributed.share(self.run.first_epoch)
        # What is trained with: not what the script said before a backup came back.
        described = capture.describe(self.model, self.optimizer, self.scheduler, self.scaler)
        # Rates that a schedule has moved are not other settings than those of the attempt before.
        self.settings.overlay(described["optimizer"])
        self.run.capture(**described, distributed=distributed.describe())
        self._unbuilt = capture.is_unbuilt(self.model)
        if changed := self.settings.changed():
            self.warn(
                f"run {self.run.name} continues with what came back: {', '.join(changed)}. To train with "
                f"the script's, set it after that: in on_train_begin of a callback of your own, or in "
                f"the first epoch."
            )
        self._warn_of_fresh_weights()
        self.rates_used.watch(self.optimizer)
        self.rates_used.on_step = _noting_steps(self) if self.position.watch_batches else None
        self.advance.begin()
        self._recorded_step = self.step
        self._began = perf_counter()
        self._live = True
        self.run.count_steps(_steps_of(self))

    def _warn_of_fresh_weights(self) -> None:
        """Warn where a resumed run is about to be continued with the weights of a new model."""
        epochs = self.params.get("epochs")
        nothing_to_do = self.stop_training or (epochs is not None and epochs <= self.first_epoch)
        if (
            self.restored
            or self.is_next_phase
            or self.first_epoch == 0
            or nothing_to_do
            or not named(self.model)
        ):
            return
        self.warn(
            f"Run {self.run.name} continues at epoch {self.first_epoch}, but nothing brought its weights "
            f"back: call training.load(path) before epochs(), or add BackupAndRestore. In a loop of "
            f"your own that loaded them itself, set callbacks.restored = True before on_train_begin."
        )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin an epoch: its time runs from here."""
        self._begin_again_at(epoch)
        self.epoch, self._began = epoch, perf_counter()
        self.position.begin(epoch, self.step)
        self._call("on_epoch_begin", epoch, logs)
        self.run.trained.in_epoch = True
        self.rates_used.begin()

    def _begin_again_at(self, epoch: int) -> None:
        """Take back the numbering where a loop of one's own repeats the epochs of an earlier phase."""
        if self.is_next_phase and epoch < self.first_epoch:
            self.run.rewind(epoch)
            self.first_epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Record the epoch, then let each callback judge, save, write and back up, in this order."""
        self.judge(epoch, logs)
        self.on_epoch_close(epoch)

    def judge(self, epoch: int, logs: Logs | None = None) -> None:
        """Do what ``on_epoch_end`` does, save for the backup.

        Raises:
            RunError: training has not begun.
            BadValue: for a value that is not one number; nobody has had a turn then.
        """
        self._need_begun("on_epoch_end")
        self._begin_again_at(epoch)
        self.epoch = epoch
        seconds = perf_counter() - self._began
        # What is not one number is refused before anybody has a turn.
        values = self._take_turns(epoch, numbers(logs or {}), before_recording=True)
        # All ranks judge rank 0's numbers, and so decide alike.
        values = distributed.share(numbers(values))
        self.rates = self.rates_used.logged()
        if any(callback.logs_rates for callback in self.callbacks):
            values.update(self.rates)
        rate = next(iter(self.rates.values()), None)
        self.run.log_epoch(
            epoch,
            values,
            seconds=seconds,
            learning_rate=rate,
            step=self.step if self.advance.counts_batches else None,
            learning_rates=self.rates_used.by_group() or None,
        )
        self.run.trained.end_epoch(epoch)
        self._recorded_step = self.step
        if self._unbuilt and not capture.is_unbuilt(self.model):
            self._unbuilt = False
            self.run.capture(model=capture.models(self.model))
        if not self.stop_training:
            # What stopped an earlier training of this run is not its end.
            self.run.note_stop(None)
        recorded = set(values)
        self._take_turns(epoch, values, before_recording=False)
        if added := {name: values[name] for name in values if name not in recorded}:
            self.run.log_epoch(epoch, numbers(added))
        if logs is not None:
            logs.update(values)
        self._names.update(dict.fromkeys(values))
        self._began = perf_counter()
        for warning in self.advance.warnings(epoch):
            self.warn(warning)
        self.advance.end_epoch()
        self.rates_used.begin()
        self.agree_to_stop(epoch)

    def _release(self) -> None:
        """Let go of the optimizers, and of the run's count of steps."""
        self.rates_used.release()
        run = self.ownership.run
        if run is not None:
            run.count_steps(None)
            run.trained.in_epoch = self.step > self._recorded_step

    def _steps_before(self) -> int:
        """Return how many batches the run had done; 0 where its database does not answer, which is logged."""
        try:
            return self.run.steps_done() if self.run.first_epoch else 0
        except StoreError:
            return 0

    def on_epoch_close(self, epoch: int) -> None:
        """Back up: nothing of this epoch is left to do."""
        for hook in self._listeners("on_epoch_close"):
            hook(epoch)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Begin a training batch."""
        self.advance.had_batch = True
        self._call("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count a step, and pass on what was logged in it."""
        self.step += 1
        if hooks := self._listeners("on_train_batch_end"):
            values = BatchLogs(logs or {})
            for hook in hooks:
                hook(batch, values)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Begin validation."""
        self._call("on_test_begin", logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Begin a validation batch."""
        self._call("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """End a validation batch."""
        self._call("on_test_batch_end", batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """End validation."""
        self._call("on_test_end", logs=logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Begin predictions."""
        self._call("on_predict_begin", logs=logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Begin a batch of predictions."""
        self._call("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """End a batch of predictions."""
        self._call("on_predict_batch_end", batch, logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """End predictions."""
        self._call("on_predict_end", logs=logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Let each callback end, and end the run if it was started here."""
        self.wrap_up(logs)
        self.close()

    def wrap_up(self, logs: Logs | None = None) -> None:
        """Do what ``on_train_end`` does, save for ending the run."""
        self._call("on_train_end", logs=logs)
        self.run.at_exit = ("finished", None)
        for callback in self.callbacks:
            callback.report_missing(self._names)

    def on_exception(self, error: BaseException) -> None:
        """Let callbacks rescue what they can; trouble with that is a warning, not an error."""
        if not self._live:
            return
        for hook in self._listeners("on_exception"):
            try:
                hook(error)
            except Exception as trouble:
                self.warn(f"after {type(error).__name__}, a callback failed as well: {trouble}")

    def close(self, error: BaseException | None = None) -> None:
        """End the run if it was started here: failed or interrupted where there is an error."""
        self._live = False
        self._release()
        if error is None:
            self.ownership.end()
        else:
            self.ownership.fail(error)

    def _listeners(self, hook: str) -> list[Callable[..., None]]:
        hooks = self._hooks.get(hook)
        if hooks is None:
            if hook.startswith(("on_train_", "on_epoch_")):
                self._need_begun(hook)
            fed = self.fed if "_batch_" in hook else None
            listeners = [
                entry for entry in self.callbacks if entry is not fed and entry.listens(hook)
            ]
            # A backup then holds what the others did in this step.
            if hook == "on_train_batch_end":
                listeners.sort(key=lambda listener: listener.order)
            hooks = [getattr(listener, hook) for listener in listeners]
            self._hooks[hook] = hooks
        return hooks

    def _need_begun(self, hook: str) -> None:
        if not self._live and not self.ownership.has_ended:
            raise RunError(
                f"{hook} was called, but training has not begun, or is over: call on_train_begin() first."
            )

    def _call(self, hook: str, number: int | None = None, logs: Logs | None = None) -> None:
        if hooks := self._listeners(hook):
            values = numbers(logs or {})
            for listener in hooks:
                listener(values) if number is None else listener(number, values)

    def _take_turns(self, epoch: int, values: Logs, *, before_recording: bool) -> Logs:
        turns = [entry for entry in self.callbacks if (entry.order < 0) is before_recording]
        for callback in sorted(turns, key=lambda callback: callback.order):
            callback.on_epoch_end(epoch, values)
        return values


def _steps_of(loop: CallbackList) -> Callable[[], int | None]:
    """Return what a run asks for its default step; it does not keep the training from being dropped."""
    weak = ref(loop)

    def steps() -> int | None:
        present = weak()
        return present.step if present is not None and present.advance.counts_batches else None

    return steps


def _noting_steps(loop: CallbackList) -> Callable[[str], None]:
    """Return what is told of an optimizer's steps; it does not keep the training from being dropped."""
    weak = ref(loop)

    def note(name: str) -> None:
        present = weak()
        if present is not None and (warning := present.accumulation.note(name, present.step)):
            present.warn(warning)

    return note
