"""TrackerCallback: record a training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import tracker
from tracker.policies import validation
from tracker_keras.session.base import Logs, Recorded
from tracker_keras.session.batch_points import BatchPoints
from tracker_keras.session.session import Session
from tracker_keras.session.values import numbers


class TrackerCallback(Recorded):
    """Record every epoch of a training: metrics, seconds and learning rate, durable at its end.

    Inside ``with tracker.start_run()`` it joins that run, and adds ``params``, ``tags`` and ``monitor`` to
    it; what else it was given, and the run is not, is a warning.
    Elsewhere it starts a run for this ``fit``, which ends with it: finished, stopped early, failed
    with the exception's text, or interrupted. A second ``fit`` with the same instance is a second
    run. Where it stands in the list of callbacks does not matter.

    Args:
        experiment: what groups runs.
        name: the run's name; the experiment and a number by default.
        params: hyperparameters, by name.
        tags: labels: names with values, or names alone.
        database: URL or path; see ``tracker.start_run``.
        resume: ``"auto"``, or an id or name: resume that run. ``fit`` then starts at the epoch
            after the last one recorded, or where ``BackupAndRestore`` says; an ``initial_epoch``
            that is given to ``fit`` comes first.
        log_every: also stream the batch metrics at every so many steps. Off by default: the
            class then has no batch hook. With it, Keras may still continue while the hook runs.
        strict: raise when something cannot be recorded, rather than warn and continue.
        monitor, mode, keep, keep_bytes, remote, system_metrics, price_per_hour: see ``tracker.start_run``.
        verbose: 1 says on standard error where it records, once per database and process; 0 is silent.

    Raises:
        tracker.BadValue: ``log_every`` is not a whole number of at least 1.
        tracker.UsageError: when training begins: ``resume`` is given, and another run is active.
    """

    def __init__(
        self,
        experiment: str | None = None,
        name: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | Iterable[str] | None = None,
        database: str | PathLike[str] | None = None,
        resume: str | None = None,
        log_every: int | None = None,
        strict: bool = False,
        *,
        monitor: str | None = None,
        mode: str | None = None,
        keep: str | None = None,
        keep_bytes: int | str | None = None,
        remote: str | None = None,
        system_metrics: bool | None = None,
        price_per_hour: float | None = None,
        verbose: int = 1,
    ) -> None:
        super().__init__()
        self.tracker_start = {
            "experiment": experiment,
            "name": name,
            "params": params,
            "tags": tags,
            "database": database,
            "resume": resume,
            "strict": strict,
            "monitor": monitor,
            "mode": mode,
            "keep": keep,
            "keep_bytes": keep_bytes,
            "remote": remote,
            "system_metrics": system_metrics,
            "price_per_hour": price_per_hour,
            "verbose": verbose,
        }
        self.log_every = validation.log_every(log_every)
        self._tracker_run: tracker.Run | None = None
        self._tracker_points: BatchPoints | None = None
        self._tracker_hook()

    @property
    def run(self) -> tracker.Run | None:
        """The run of this training, or of the last one; None before the first."""
        return self._tracker_run

    def tracker_join(self, session: Session) -> None:
        """Take part in a recording."""
        super().tracker_join(session)
        self._tracker_run = session.run
        self._tracker_points = None
        streamed = any(getattr(one, "_tracker_points", None) for one in session.members)
        if self.log_every is not None and not streamed:
            self._tracker_points = BatchPoints(
                self.log_every, self._tracker_stride, self._tracker_stream
            )

    def tracker_resume(self, epoch: int) -> None:
        """Continue counting steps where the run was."""
        self._tracker_count_on()

    def tracker_continue(self, epoch: int) -> None:
        """Continue counting where an earlier fit came to."""
        self._tracker_count_on()

    def _tracker_count_on(self) -> None:
        if self._tracker_points is not None and self._tracker_session is not None:
            self._tracker_points.begin_at(self._tracker_session.epochs.steps_before)

    def tracker_steps(self) -> int | None:
        """Stream what came of the epoch, and return the count of steps."""
        return None if self._tracker_points is None else self._tracker_points.end_epoch()

    def _tracker_hook(self) -> None:
        if self.log_every is not None:
            self.on_train_batch_end = self._tracker_log_batch
            self.async_safe = True  # tells Keras that it may continue while the hook runs

    def _tracker_log_batch(self, batch: int, logs: Logs = None) -> None:
        points = self._tracker_points
        if points is not None:
            points.add(batch, logs or {})

    def _tracker_stride(self) -> int:
        return getattr(self.model, "steps_per_execution", 1)

    def _tracker_stream(self, logs: Mapping[str, Any], step: int) -> None:
        session = self._tracker_session
        if session is not None and session.is_open:
            try:
                session.run.log(logs, step=step)
            except tracker.BadValue:  # Keras lets callbacks add anything
                session.run.log(numbers(logs), step=step)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the epoch's clock and its count of steps."""
        if self._tracker_points is not None:
            self._tracker_points.begin_epoch()
        super().on_epoch_begin(epoch, logs)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the run and the batch hook."""
        state = super().__getstate__()
        state.pop("on_train_batch_end", None)
        return {**state, "_tracker_run": None, "_tracker_points": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state back, and the batch hook with it."""
        self.__dict__.update(state)
        self._tracker_hook()
