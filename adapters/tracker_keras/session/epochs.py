"""The epochs of one training: timed, read and recorded once, whatever stands where in the list."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import Any

import keras

import tracker
from tracker_keras.session.values import learning_rate, numbers, same


class Epochs:
    """Records each epoch when the first of our callbacks comes to its end.

    Attributes:
        current: the epoch that runs, or ran last; None before the first.
    """

    def __init__(self, run: tracker.Run, model: Any) -> None:
        self.run = run
        self.model = model
        self.current: int | None = None
        self._started: float | None = None
        self._rate: float | None = None
        self._probe: Probe | None = None
        self._written: tuple[int, Any, dict[str, float], float | None] | None = None
        self._after_judging: list[Callable[[], object]] = []

    def begin(self, epoch: int) -> None:
        """Start the clock."""
        self.current, self._rate, self._started = epoch, None, time.perf_counter()

    def watch(self, callback: keras.callbacks.Callback) -> None:
        """Have the learning rate read at the first batch, through a callback that is free for it."""
        if self._probe is None and "on_train_batch_begin" not in callback.__dict__:
            self._probe = Probe(self, callback)

    def first_batch(self) -> None:
        """Every ``on_epoch_begin`` has run: this is the rate that the epoch is trained with."""
        self._probe = None
        self._rate = learning_rate(self.model)

    def end(self, epoch: int, logs: dict[str, Any] | None) -> bool:
        """Record the epoch, unless it is; what later callbacks put into ``logs`` is for `amend`."""
        if self._written is not None and self._written[0] == epoch:
            return False
        metrics = numbers(logs)
        seconds = None if self._started is None else time.perf_counter() - self._started
        rate = self._rate
        if rate is None:
            rate = metrics.get("learning_rate", learning_rate(self.model))
        self.run.log_epoch(epoch, metrics, seconds=seconds, learning_rate=rate)
        self.current, self._written = epoch, (epoch, logs, metrics, rate)
        return True

    def amend(self) -> None:
        """Add to the recorded epoch what callbacks have put into its logs since."""
        if self._written is None or self.run.finished:
            return
        epoch, logs, metrics, rate = self._written
        late = {
            name: value
            for name, value in numbers(logs).items()
            if name not in metrics or not same(value, metrics[name])
        }
        if late:
            self.run.log_epoch(epoch, late, learning_rate=rate)
            metrics.update(late)

    def when_complete(self, call: Callable[[], object]) -> None:
        """Have ``call`` called once all of our callbacks have judged this epoch."""
        self._after_judging.append(call)

    def complete(self) -> None:
        """After the last of our callbacks: add what they put into the logs, call what was registered for it."""
        self.amend()
        while self._after_judging:
            self._after_judging.pop(0)()

    def close(self) -> None:
        """Take our batch hook away, if it has not been called."""
        if self._probe is not None:
            self._probe.remove()


class Probe:
    """A batch hook for one batch, set on an instance: the classes define none.

    Keras looks at the classes' batch hooks when `fit` begins, to see whether it may continue while
    callbacks run; this one comes later, is called once per epoch, and takes itself away.
    """

    def __init__(self, epochs: Epochs, callback: keras.callbacks.Callback) -> None:
        self.epochs = weakref.ref(epochs)
        self.callback = weakref.ref(callback)
        callback.on_train_batch_begin = self

    def __call__(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Read the learning rate, and hand the batch on to the class's own hook."""
        callback, epochs = self.remove(), self.epochs()
        if epochs is not None:
            epochs.first_batch()
        if callback is not None:
            callback.on_train_batch_begin(batch, logs=logs)

    def remove(self) -> keras.callbacks.Callback | None:
        """Uncover the class's own hook."""
        callback = self.callback()
        if callback is not None and callback.__dict__.get("on_train_batch_begin") is self:
            del callback.on_train_batch_begin
        return callback
