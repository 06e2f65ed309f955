"""What all recorded callbacks share: they join a run, and write down what Keras decided."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from tracker_keras.session.fit_hook import (
    Fit,
    beginning,
    beginning_training,
    gathering_loop,
    running_fit,
)
from tracker_keras.session.hooks import Hook
from tracker_keras.session.session import Member, Session, record_unbegun

Logs = dict[str, Any] | None


class Recorded(Member):
    """Base of our callbacks; stands before Keras' own class, which does the work.

    Hooks call ``super()`` and look at what has changed. Copies and pickles leave the run behind:
    a copy joins the run of the training that it is given to.
    """

    tracker_start: dict[str, Any] | None = None
    """Arguments of ``tracker.start_run``, where the callback knows any."""

    _tracker_loop: Fit | None = None

    def set_model(self, model: Any) -> None:
        """Take the model; in a loop by hand it tells who takes part."""
        super().set_model(model)
        if running_fit(model) is None:
            self._tracker_loop = gathering_loop(model)
            self._tracker_loop.start = self.tracker_start or self._tracker_loop.start

    def tracker_open(self, fit: Fit) -> None:
        """Start the recording of a training in which this callback takes part, unless it has."""
        if fit.session is None:
            with beginning(fit):
                fit.session = Session(fit, _start_of(fit, self), self.params)
            _tell_of_unused(fit)

    def tracker_unbegun(self, fit: Fit, error: BaseException) -> None:
        """Record a `fit` that raised before this callback could begin."""
        record_unbegun(fit, _start_of(fit, self), self.params, error)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Join the active run, or start one for this training."""
        _session_for(self).add(self)
        self._tracker_begin(logs)

    def _tracker_begin(self, logs: Logs) -> None:
        """Let Keras begin; subclasses look at it before and after."""
        super().on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the epoch's clock."""
        if self._tracker_session is not None:
            self._tracker_session.begin_epoch(epoch, self)
        super().on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Record the epoch before anything is decided on it."""
        if self._tracker_session is None:
            self._tracker_judge(epoch, logs)
            return
        with self._tracker_session.epoch_end(epoch, logs, self):
            self._tracker_judge(epoch, logs)

    def _tracker_judge(self, epoch: int, logs: Logs) -> None:
        """Let Keras decide; subclasses look at it before and after."""
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Logs = None) -> None:
        """Leave the run."""
        self._tracker_end(logs)
        if self._tracker_session is not None:
            self._tracker_session.leave()

    def _tracker_end(self, logs: Logs) -> None:
        """Let Keras end its part; subclasses look at it before and after."""
        super().on_train_end(logs)

    def tracker_decided(self, verdict: str, **facts: Any) -> None:
        """Record a decision: ``epoch``, ``reason``, ``state`` after it, and what `Policy.decide` takes."""
        if self._tracker_policy is not None and self._tracker_session is not None:
            self._tracker_session.decide(self._tracker_policy, verdict, **facts)

    def tracker_catch_up(self, saved: Mapping[str, Any], epoch: int) -> None:
        """Decide on epochs before ``epoch`` that were recorded, but not decided on before the kill."""
        if self._tracker_session is None:
            return
        for missed in range(int(saved["epoch"]) + 1, epoch):
            metrics = self._tracker_session.run.recorded_epoch(missed)
            if metrics is not None:
                self._tracker_judge(missed, metrics)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the run, its connection and our own hooks."""
        state = {
            name: value for name, value in self.__dict__.items() if not isinstance(value, Hook)
        }
        for name in ("_tracker_session", "_tracker_policy", "_tracker_loop"):
            state.pop(name, None)
        return state


def _session_for(callback: Recorded) -> Session:
    """Return the recording of the training that begins for a callback; its first one starts it."""
    fit = beginning_training() or running_fit(callback._model)
    if fit is None:
        fit = callback._tracker_loop or Fit(callback._model)
        if fit.session is not None and not fit.session.is_awaiting(callback):
            fit.session = None
    callback.tracker_open(fit)
    session: Session = fit.session
    return session


def _start_of(fit: Fit, callback: Recorded) -> dict[str, Any]:
    return next((start for start in _starts(fit, callback)), fit.start or {})


def _starts(fit: Fit, *more: Recorded) -> Iterator[dict[str, Any]]:
    """Give the arguments for a run that callbacks of a training have, in Keras' order."""
    listed = (one for one in fit.callbacks or () if isinstance(one, Recorded))
    for one in dict.fromkeys([*listed, *more]):
        if one.tracker_start is not None:
            yield one.tracker_start


def _tell_of_unused(fit: Fit) -> None:
    """Warn of a second TrackerCallback whose arguments are not those that started the run."""
    starts = list(_starts(fit))
    unused = {
        name: value
        for start in starts[1:]
        for name, value in start.items()
        if name != "verbose" and value not in (None, False) and value != starts[0].get(name)
    }
    if unused:
        names = ", ".join(unused)
        warnings.warn(
            f"There are several TrackerCallbacks in one training, and its run is the first one's: "
            f"{names} of the others {'is' if len(unused) == 1 else 'are'} not used.",
            stacklevel=2,
        )
