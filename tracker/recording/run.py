"""Run: what a user holds while training (the write side)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from tracker import values
from tracker.checkpointing.registry import Checkpoint
from tracker.errors import BadValue, RunClosed
from tracker.recording import active
from tracker.recording.checkpoints import CheckpointKeeper, Facts
from tracker.recording.epoch_timer import EpochClock, epoch_number
from tracker.recording.null_recorder import Silence
from tracker.recording.policy import Policy, add_policy
from tracker.recording.trained import Trained
from tracker.redact import redact_data
from tracker.storage import entries

if TYPE_CHECKING:
    from tracker.recording.recorder import Recorder
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

from tracker.recording import resume

if TYPE_CHECKING:
    from tracker.recording.recorder import Recorder

T = TypeVar("T")


class RunPast:
    """Reads back effective epochs, of all attempts; empty where nothing is recorded.

    Each raises a `StoreError` where the database does not answer: none at all is another answer.
    """

    id: str
    first_epoch: int
    writer: Recorder | Silence

    def history(self) -> dict[str, list[float]]:
        """Return the effective epochs before `first_epoch`: metric → a value an epoch (NaN where it has none)."""
        return self._asked(lambda found: resume.history(found, self.id, self.first_epoch)[1], {})

    def recorded_epoch(self, epoch: int) -> dict[str, float] | None:
        """Return the metrics of one effective epoch, of any attempt; None where it was not recorded."""
        return self._asked(lambda found: resume.recorded_epoch(found, self.id, epoch), None)

    def epochs_done(self) -> list[int]:
        """Return the numbers of the effective epochs recorded before this attempt goes on."""
        return self._asked(lambda found: resume.history(found, self.id, self.first_epoch)[0], [])

    def _asked(self, ask: Callable[[Connection], T], otherwise: T) -> T:
        return otherwise if isinstance(self.writer, Silence) else self.writer.query(ask)


ENDINGS = ("finished", "stopped_early", "failed", "interrupted")


class Run(RunPast):
    """One training that is being recorded; made by `tracker.start_run`.

    Attributes:
        id: 12 hexadecimal digits.
        name: the given one, else the experiment and a number.
        experiment: what groups runs.
        attempt: which process's share this is, from 1; more than 1 after a resume.
        first_epoch: the epoch at which this attempt goes on, 0 for a new run.
        recording: False where nothing is recorded (switched off, another rank, a forked child).
        status: "running", or how it ended.
        trained: what the trainings of this process have recorded into it.
    """

    def __init__(
        self,
        *,
        id: str,
        name: str,
        experiment: str,
        attempt: int = 1,
        first_epoch: int = 0,
        writer: Recorder | Silence | None = None,
        captured: dict[str, Any] | None = None,
        ending: dict[str, Any] | None = None,
    ) -> None:
        self.id = id
        self.name = name
        self.experiment = experiment
        self.attempt = attempt
        self.first_epoch = first_epoch
        self.status = "running"
        self.trained = Trained()
        self.at_exit: tuple[str, str | None] = ("finished", "the process ended without finish()")
        self.writer: Recorder | Silence = Silence() if writer is None else writer
        self._stop_reason: str | None = None
        self._ending = ending
        self._withdrawn = False
        self._epochs = EpochClock()
        self._captured = dict(captured or {})
        self._keeper = CheckpointKeeper(self)
        self._after: list[Callable[[], object]] = []
        self._numbers = {"decision": count(1), "policy": count(1)}
        self.log = self.writer.log  # type: ignore[method-assign]  # spares a call a step

    def __repr__(self) -> str:
        return f"<Run {self.name} ({self.id}), attempt {self.attempt}, {self.status}>"

    @property
    def recording(self) -> bool:
        """Whether what is logged here is kept."""
        return self.writer.recording

    @property
    def strict(self) -> bool:
        """Whether what cannot be recorded is raised."""
        return self.writer.strict

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.status != "running"

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Stream step metrics: buffered, in the database at most a second later.

        Args:
            metrics: names and one number each: Python, NumPy, torch or TensorFlow scalars. A tensor
                on a device is not waited for; it is copied there and fetched with the next flush.
            step: any integer; the last step + 1 by default. Steps may repeat, go back or jump.

        Raises:
            BadValue: for text, None, or more than one element; for a step beyond 64 bits.
            RunClosed: when the run has finished.
        """
        self.check_open()

    def log_epoch(
        self,
        epoch: int,
        metrics: Mapping[str, Any],
        *,
        seconds: float | None = None,
        learning_rate: float | None = None,
    ) -> None:
        """Record an epoch; durable when this returns. A second call for the same epoch adds to it.

        Args:
            epoch: 0-based number.
            metrics: names and one number each.
            seconds: how long the epoch took; since the previous one (or the start) by default.
            learning_rate: the one that the epoch was trained with, when known.

        Raises:
            BadValue: for an epoch that is no whole number ≥ 0, a metric that is not one number, or no dict.
        """
        self.check_open()
        number = epoch_number(epoch)
        try:
            given = metrics.items()
        except (AttributeError, TypeError) as error:
            raise values.no_mapping(metrics) from error
        plain = [
            (text := values.name_text(name), *values.split(values.number(value, text)))
            for name, value in given
        ]
        rate = None if learning_rate is None else values.number(learning_rate, "learning_rate")
        started, took = self._epochs.take(number, seconds)
        self.writer.record(entries.epoch(self.id, self.attempt, number, started, took, rate, plain))

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record hyperparameters by name: numbers, text, None, lists, dicts; any integer is exact. `BadValue` else."""
        self.check_open()
        self.writer.record({"kind": "params", "rows": entries.params(self.id, params)})

    def set_tags(self, tags: Mapping[str, Any] | Iterable[str]) -> None:
        """Record labels: names with values, or names alone; `BadValue` for anything else."""
        self.check_open()
        self.writer.record({"kind": "tags", "rows": entries.tags(self.id, tags)})

    def capture(self, **sections: Any) -> None:
        """Record facts about this attempt (model, optimizer, device …) beside what is captured at the start."""
        self.check_open()
        self._captured.update(redact_data(values.plain(sections)))
        changed = {"captured": values.to_json(self._captured)}
        self.writer.record({"kind": "attempt", "id": self.writer.attempt_id, "values": changed})

    def log_checkpoint(self, path: str | os.PathLike[str], **facts: Unpack[Facts]) -> Checkpoint:
        """Register a file that is complete: its size and SHA-256 are taken now.

        Args:
            path: the file.
            **facts: ``epoch``, ``step``, ``metrics``, ``monitor``, ``value``, ``policy``; each None by
                default. ``value`` is that of ``monitor``, taken from ``metrics`` when it is there.

        Raises:
            CheckpointError: when ``path`` is no regular file.
        """
        self.check_open()
        return self._keeper.register(path, facts)

    def save_checkpoint(
        self, path: str | os.PathLike[str], save: Callable[[Path], object], **facts: Unpack[Facts]
    ) -> Checkpoint:
        """Save a file and register it, so that a kill at any moment leaves the old one or the new one, whole.

        Args:
            path: where it goes. A registered file of that name is replaced.
            save: called with a temporary path in the same folder; what it raises comes out unchanged.
            **facts: as for `log_checkpoint`.
        """
        self.check_open()
        return self._keeper.save(path, save, facts)

    def checkpoints(self) -> list[Checkpoint]:
        """Return this run's available checkpoints, of all attempts, oldest first."""
        return self._keeper.available()

    def prune_checkpoints(
        self, checkpoints: Iterable[Checkpoint], *, why: str = ""
    ) -> list[Checkpoint]:
        """Delete files; returns those deleted. Never pinned, last, best, changed or unregistered ones."""
        self.check_open()
        return self._keeper.prune(checkpoints, why)

    def add_policy(
        self,
        kind: str,
        *,
        monitor: str | None = None,
        config: Mapping[str, Any] | None = None,
        rules: str | None = None,
    ) -> Policy:
        """Register a callback's configuration; what it decides is recorded through the result."""
        self.check_open()
        return add_policy(self, kind, monitor, config, rules)

    def rewind(self, epoch: int) -> None:
        """Go on at an earlier epoch; what was recorded from there on is superseded when repeated.

        Where this attempt has itself recorded such epochs (a second ``fit``), the next one begins.
        """
        self.first_epoch = epoch_number(epoch)
        if self._epochs.last is not None and self._epochs.last >= self.first_epoch:
            self.attempt += 1
            self._epochs = EpochClock()
            self._numbers = {"decision": count(1), "policy": count(1)}
            self.writer.next_attempt(self.attempt)

    def note_stop(self, reason: str | None) -> None:
        """Remember that training was stopped early, and why; `finish` then says so. None: it goes on."""
        self._stop_reason = reason

    def finish(
        self,
        status: str = "finished",
        reason: str | None = None,
        error: BaseException | str | None = None,
    ) -> None:
        """End the run; does nothing when it has ended.

        Args:
            status: one of `ENDINGS`; "finished" becomes "stopped_early" after `note_stop`.
            reason: one sentence.
            error: the exception, or its text.
        """
        if self.finished:
            return
        if status not in ENDINGS:
            raise BadValue(f"status is {status!r}: possible are {', '.join(ENDINGS)}.")
        if status == "finished" and self._stop_reason is not None:
            status, reason = "stopped_early", self._stop_reason
        self.status = status
        active.leave(self)
        del self.log  # what comes later meets `Run.log`, which refuses
        ending = entries.end(self.id, self.writer.attempt_id, self.attempt, status, reason, error)
        if self._withdrawn and self._ending:
            ending["kept"] = self._ending
        try:
            self.writer.close(ending)
        except KeyboardInterrupt:  # a second Ctrl-C must not cost the status
            self.writer.close(ending)
            raise
        active.call_all(self._after)

    def on_finish(self, call: Callable[[], object]) -> None:
        """Have ``call`` called once the run has ended and its status is on disk; not after a kill."""
        self._after.append(call)

    def fail(self, error: BaseException) -> None:
        """End the run because of an exception: interrupted for Ctrl-C and exits, else failed."""
        leaving = isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit))
        status = "interrupted" if leaving else "failed"
        self.finish(status, f"training raised {type(error).__name__}", error)

    def withdraw(self, error: BaseException) -> None:
        """End a resumed attempt that was refused before it trained: it failed, the run stays as it was."""
        self._withdrawn = True
        self.fail(error)

    def next_number(self, what: str) -> int:
        """Count decisions and policies of this attempt."""
        return next(self._numbers[what])

    def disown(self) -> None:
        """After a fork: the run belongs to the parent, the child records and ends nothing."""
        self.writer.forget()
        self.writer = Silence(strict=self.writer.strict)
        self._after = []
        self.log = self.writer.log  # type: ignore[method-assign]

    def check_open(self) -> None:
        """Raise `RunClosed` when the run has finished."""
        if self.finished:
            raise RunClosed(
                f"The run {self.name} has ended ({self.status}). Start another one, or go on with it: "
                f"tracker.start_run(resume={self.name!r})."
            )

    def __enter__(self) -> Self:
        if not self.finished:
            active.enter(self)  # also where it was started in another thread
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            self.finish()
        else:
            self.fail(error)
