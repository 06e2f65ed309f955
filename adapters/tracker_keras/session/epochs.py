"""The epochs of one training: timed, read and recorded once, whatever stands where in the list."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

import tracker
from tracker_keras.session.hooks import BatchCount, Probe
from tracker_keras.session.values import (
    has_own_step,
    learning_rate,
    no_numbers,
    numbers,
    rate_of_last_step,
    same,
    steps_taken,
    types,
)


class _Written(NamedTuple):
    """An epoch that was recorded: with Keras' logs, and what of them was recorded."""

    epoch: int
    logs: dict[str, Any] | None
    metrics: dict[str, float]
    rate: float | None


class Epochs:
    """Records each epoch when the first of our callbacks comes to its end.

    Attributes:
        current: the epoch that runs, or ran last; None before the first.
        steps_before: how many training batches the run had done when the epoch began.
        steps: how many it has done at the last epoch's end; None where nobody said.
    """

    def __init__(self, run: tracker.Run, model: Any) -> None:
        self.run = run
        self.model = model
        self.current: int | None = None
        self.steps_before = 0
        self.steps: int | None = None
        self._batches: BatchCount | None = None
        self._no_numbers: set[str] = set()
        self._types: dict[str, str] = {}
        self._started: float | None = None
        self._rate: float | None = None
        self._last_rate: float | None = None
        self._iterations: int | None = None
        self._planned: int | None = None
        self._before_last: float | None = None
        self._probe: Probe | None = None
        self._written: _Written | None = None
        self._after_judging: list[Callable[[], object]] = []

    def begin(self, epoch: int) -> None:
        """Start the clock, and count batches from 0."""
        if self.steps is not None:
            self.steps_before = self.steps
        if self._batches is not None:
            self._planned = self._batches.done or self._planned
            self._batches.done = 0
        if self._probe is not None:
            self._probe.remove()
            self._probe = None
        self._rate = self._last_rate = self._before_last = None
        if self._iterations is None and has_own_step(self.model):
            self._iterations = steps_taken(self.model)
        self.current, self._started = epoch, time.perf_counter()

    def _batch_before_last(self) -> float:
        """Return the last batch of the execution before the last one; infinity where nobody knows."""
        if self._planned is None:
            return math.inf
        return self._planned - 1 - int(getattr(self.model, "steps_per_execution", 1) or 1)

    def watch(self, callback: keras.callbacks.Callback) -> None:
        """Have the learning rate read at the first batch, through a callback that is free for it."""
        if self._probe is None and "on_train_batch_begin" not in callback.__dict__:
            self._probe = Probe(callback, self.batch_begins)
        if self._batches is None and "on_train_batch_end" not in callback.__dict__:
            self._planned = (callback.params or {}).get("steps")
            self._batches = BatchCount(callback)

    def count_from(self, steps: int) -> None:
        """Continue counting where the run came to before this training."""
        self.steps_before, self.steps = steps, None

    def steps_after(self, batch: int | None) -> int | None:
        """Return the run's count of steps after a batch of this epoch; None: after the last epoch."""
        return self.steps if batch is None else self.steps_before + batch + 1

    def batch_begins(self, batch: int) -> bool:
        """Read the rate where this batch is the epoch's first or last; return whether there is more to read.

        Every ``on_epoch_begin`` has run before the first: its rate is the one that the epoch is trained with.
        """
        is_first = self._before_last is None
        if self._before_last is None:
            # Asked once per epoch: this is called at every batch.
            self._before_last, self._rate = self._batch_before_last(), learning_rate(self.model)
        is_last = batch > self._before_last
        if is_last:
            self._last_rate = self._rate if is_first else learning_rate(self.model)
        if is_last or math.isinf(self._before_last):
            self._probe = None
            return False
        return True

    def _rates(self) -> dict[str, tuple[float, float]] | None:
        """Return the rates of the first and the last batch, as `tracker.Run.log_epoch` takes them."""
        last = rate_of_last_step(self.model)
        if last is None and self._batches is not None and self._batches.done == self._planned:
            last = self._last_rate
        return None if self._rate is None or last is None else {"0": (self._rate, last)}

    def end(self, epoch: int, logs: dict[str, Any] | None, steps: Callable[[], int | None]) -> bool:
        """Record the epoch, unless it is; what later callbacks put into ``logs`` is for `amend`.

        Args:
            epoch: its number.
            logs: Keras'.
            steps: returns the run's count of steps, where a callback keeps one.
        """
        if self.written == epoch:
            return False
        metrics = numbers(logs)
        seconds = None if self._started is None else time.perf_counter() - self._started
        self.steps = steps()
        if self.steps is None and self._batches is not None and self._batches.done:
            self.steps = self.steps_before + self._batches.done
        if self._trains_by_others():
            self._rate = self._last_rate = None
            rate = metrics.get("learning_rate")
        elif self._rate is None:
            rate = metrics.get("learning_rate", learning_rate(self.model))
        else:
            rate = self._rate
        self.run.log_epoch(
            epoch,
            metrics,
            seconds=seconds,
            learning_rate=rate,
            step=self.steps,
            learning_rates=self._rates(),
        )
        self.current, self._written = epoch, _Written(epoch, logs, metrics, rate)
        return True

    def _trains_by_others(self) -> bool:
        """Say whether a custom training step did not use the model's optimizer: it may have its own."""
        if not has_own_step(self.model):
            return False
        before, self._iterations = self._iterations, steps_taken(self.model)
        return self._iterations is not None and before == self._iterations and bool(self.steps)

    @property
    def written(self) -> int | None:
        """The epoch that was recorded last; None before the first, and before one that is repeated."""
        return None if self._written is None else self._written.epoch

    def repeat(self) -> None:
        """Record the epoch that comes although it has the number of the last one."""
        self._written = None

    def amend(self) -> None:
        """Add to the recorded epoch what callbacks have put into its logs since."""
        if self._written is None or self.run.finished:
            return
        epoch, logs, metrics, rate = self._written
        self._tell_of_no_numbers(logs)
        self._note_types(logs)
        late = {
            name: value
            for name, value in numbers(logs).items()
            if name not in metrics or not same(value, metrics[name])
        }
        if late:
            self.run.log_epoch(epoch, late, learning_rate=rate)
            metrics.update(late)

    def _note_types(self, logs: dict[str, Any] | None) -> None:
        """Keep how a CSVLogger writes what callbacks logged: the database holds floats only."""
        found = types(logs)
        if not found.items() <= self._types.items():
            self._types.update(found)
            self.run.capture(metric_types=dict(self._types))

    def _tell_of_no_numbers(self, logs: dict[str, Any] | None) -> None:
        """Warn of metrics that cannot be recorded, each once."""
        new = [name for name in no_numbers(logs) if name not in self._no_numbers]
        self._no_numbers.update(new)
        if new:
            warnings.warn(
                f"{', '.join(new)} {'is' if len(new) == 1 else 'are'} not recorded: a metric is one number "
                f"per epoch, not an array, a dict or text. Reduce it first, for instance with .mean().",
                stacklevel=2,
            )

    def when_complete(self, call: Callable[[], object]) -> None:
        """Have ``call`` called once all of our callbacks have judged this epoch."""
        self._after_judging.append(call)

    def complete(self) -> None:
        """After the last of our callbacks: add what they put into the logs, call what was registered for it."""
        self.amend()
        while self._after_judging:
            self._after_judging.pop(0)()

    def close(self) -> None:
        """Take our batch hooks away."""
        if self._probe is not None:
            self._probe.remove()
        if self._batches is not None:
            self._batches.remove()
