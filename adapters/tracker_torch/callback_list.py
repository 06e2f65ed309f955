"""CallbackList: the hooks, for a loop of any shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import perf_counter
from typing import Any

import tracker
from tracker import Run, RunError
from tracker_torch.callback import Callback, Logs
from tracker_torch.callbacks.backup_and_restore import warn_of_fresh_weights
from tracker_torch.callbacks.base_logger import BatchLogs, fetch
from tracker_torch.callbacks.history import History
from tracker_torch.loop import distributed, ownership, validation
from tracker_torch.loop.learning_rate import logged
from tracker_torch.loop.loop import Loop
from tracker_torch.state import capture


class CallbackList(Loop):
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
        super().__init__(model, optimizer, scheduler, scaler, run, start)
        validation.check_trained(model, optimizer)
        self.callbacks = validation.callbacks(callbacks)
        if add_history and not any(isinstance(one, History) for one in self.callbacks):
            self.callbacks.append(History())
        self.params: dict[str, Any] = params
        self.fed: Callback | None = (
            None  # `Training.log` adds to it: batches have nothing more for it
        )
        self._hooks: dict[str, list[Callable[..., None]]] = {}
        self._began = perf_counter()
        self._names: dict[str, None] = {}

    @property
    def history(self) -> History | None:
        """The `History` among the callbacks."""
        return next((one for one in self.callbacks if isinstance(one, History)), None)

    def append(self, callback: Callback) -> None:
        """Add a callback, before training begins."""
        self.callbacks.append(validation.callback(callback))

    def hears(self, hook: str) -> bool:
        """Whether any callback has something to do at ``hook``."""
        return bool(self._listeners(hook))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Join or start the run, and let each callback take up its state.

        Raises:
            UsageError: another training has the run or one of the callbacks, or a callback that
                saves weights has no model.
        """
        try:
            for callback in self.callbacks:
                ownership.check(callback, self)
            self.begin_anew()
            ownership.take(self.run, self)
            self._begin(fetch(logs or {}))
        except BaseException:
            self.let_go()
            raise

    def _begin(self, logs: dict[str, float]) -> None:
        self._hooks = {}
        for callback in self.callbacks:
            callback.set_params(self.params)
            callback.set_model(self.model)
            callback.set_loop(self)
        self.run.capture(**capture.describe(self))
        self.run.at_exit = ("interrupted", "the process ended before its training did")
        self.epoch = max(0, distributed.share(self.run.first_epoch) - 1)
        # A backup comes back before anybody looks at the state.
        for callback in sorted(self.callbacks, key=lambda one: not one.restores):
            callback.on_train_begin(logs)
        self.first_epoch = distributed.share(self.run.first_epoch)
        warn_of_fresh_weights(self)
        self._began = perf_counter()
        self._live = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin an epoch: its time runs from here."""
        self.epoch, self._began = epoch, perf_counter()
        self.position.begin(epoch, self.step)
        self._call("on_epoch_begin", epoch, logs)

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
        self.epoch = epoch
        seconds = perf_counter() - self._began
        # What is not one number is refused before anybody has a turn.
        values = self._take_turns(epoch, fetch(logs or {}), before_recording=True)
        # All ranks judge rank 0's numbers, and so decide alike.
        values = distributed.share(fetch(values))
        self.rates = logged(self.optimizer)
        if any(one.logs_rates for one in self.callbacks):
            values.update(self.rates)
        rate = next(iter(self.rates.values()), None)
        self.run.log_epoch(epoch, values, seconds=seconds, learning_rate=rate)
        self.recorded = True
        recorded = set(values)
        self._take_turns(epoch, values, before_recording=False)
        if added := {name: values[name] for name in values if name not in recorded}:
            self.run.log_epoch(epoch, fetch(added))
        if logs is not None:
            logs.update(values)
        self._names.update(dict.fromkeys(values))
        self._began = perf_counter()
        self.agree_to_stop(epoch)

    def on_epoch_close(self, epoch: int) -> None:
        """Back up: nothing of this epoch is left to do."""
        for hook in self._listeners("on_epoch_close"):
            hook(epoch)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Begin a training batch."""
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

    def _listeners(self, hook: str) -> list[Callable[..., None]]:
        found = self._hooks.get(hook)
        if found is None:
            if hook.startswith(("on_train_", "on_epoch_")):
                self._need_begun(hook)
            spared = self.fed if "_batch_" in hook else None
            told = [one for one in self.callbacks if one is not spared and one.listens(hook)]
            if hook == "on_train_batch_end":  # a backup then holds what the others did in this step
                told.sort(key=lambda one: one.order)
            found = [getattr(one, hook) for one in told]
            self._hooks[hook] = found
        return found

    def _need_begun(self, hook: str) -> None:
        if not self._live and not (self._run is not None and self._run.finished):
            raise RunError(
                f"{hook} was called, but training has not begun, or is over: call on_train_begin() first."
            )

    def _call(self, hook: str, number: int | None = None, logs: Logs | None = None) -> None:
        if hooks := self._listeners(hook):
            values = fetch(logs or {})
            for listener in hooks:
                listener(values) if number is None else listener(number, values)

    def _take_turns(self, epoch: int, values: Logs, *, before_recording: bool) -> Logs:
        turns = [one for one in self.callbacks if (one.order < 0) is before_recording]
        for callback in sorted(turns, key=lambda one: one.order):
            callback.on_epoch_end(epoch, values)
        return values
