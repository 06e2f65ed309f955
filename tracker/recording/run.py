"""Run: what a user holds while training (the write side)."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, Unpack

from tracker import values
from tracker.cards import run_card
from tracker.checkpointing.registry import Checkpoint
from tracker.checkpointing.store import Keeping
from tracker.errors import BadValue, RunClosed, StoreError, UsageError, counted
from tracker.files import absolute
from tracker.policies.modes import check_declared
from tracker.recording import active, resume
from tracker.recording.background import BackgroundSaver, BackgroundSavers
from tracker.recording.checkpoints import CheckpointKeeper, Facts
from tracker.recording.epoch_timer import EpochClock, epoch_number
from tracker.recording.null_recorder import NullRecorder
from tracker.recording.policy import Policy, add_policy
from tracker.recording.trained import Trained
from tracker.recording.writer import CALL_SECONDS, LogCall, Writer
from tracker.redact import redact_data
from tracker.states import DirectionSource, RunStatus
from tracker.storage import entries
from tracker.storage.entries import Kept

TERMINATION_SECONDS = 5.0
"""How long a file that is being saved beside the training may take to its end once the process is asked to end."""
ENDINGS = (
    RunStatus.FINISHED,
    RunStatus.STOPPED_EARLY,
    RunStatus.FAILED,
    RunStatus.INTERRUPTED,
)

log = logging.getLogger("tracker")


class Run:
    """One training that is being recorded; made by `tracker.start_run`.

    Attributes:
        id: 12 hexadecimal digits.
        name: the given one, else the experiment and a number.
        experiment: what groups runs.
        attempt: which process's share this is, from 1; more than 1 after a resume.
        first_epoch: the epoch at which this attempt resumes, 0 for a new run.
        recording: False where nothing is recorded (switched off, another rank, a forked child).
        status: "running", or how it ended.
        trained: what the trainings of this process have recorded into it.
        keeping: what it keeps of the files of other runs that it replaces.
        remote: the URL of the folder that its checkpoints are copied to; None for no copies.
    """

    def __init__(
        self,
        *,
        id: str,
        name: str,
        experiment: str,
        attempt: int = 1,
        first_epoch: int = 0,
        writer: Writer | None = None,
        captured: dict[str, Any] | None = None,
        ending: entries.Ending | None = None,
        recording_asked: bool = False,
        keeping: Keeping | None = None,
        remote: str | None = None,
    ) -> None:
        self.id = id
        self.name = name
        self.experiment = experiment
        self.attempt = attempt
        self.first_epoch = first_epoch
        self.kept: Kept | None = None
        self.status = RunStatus.RUNNING
        self.trained = Trained()
        self.at_exit: tuple[str, str | None] = ("finished", "the process ended without finish()")
        self.writer: Writer = NullRecorder() if writer is None else writer
        self.keeping = keeping or Keeping()
        self.remote = remote
        self._stop_reason: str | None = None
        self._ending = ending
        self._recording_asked = recording_asked
        self._first_attempt = attempt
        self._withdrawn = False
        self._epochs = EpochClock()
        self._captured = dict(captured or {})
        self._keeper = CheckpointKeeper(self)
        self._policies: list[Policy] = []
        self._after: list[Callable[[], object]] = []
        self._savers = BackgroundSavers()
        self._numbers = _numbers()
        self._reported: set[str] = set()

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            f"The run {self.name} cannot be pickled or copied: one process records it. Start a run in the other "
            f"process, with tracker.start_run(parent={self.id!r}), and leave this one out of what is pickled."
        )

    def __repr__(self) -> str:
        return f"<Run {self.name} ({self.id}), attempt {self.attempt}, {self.status}>"

    def _repr_html_(self) -> str:
        """Show the run in a notebook: its state, and each metric with its curve."""
        nothing = resume.History([], {})
        try:
            epochs, metrics = self.writer.query(
                lambda reader: resume.history(reader, self.id), nothing
            )
        except StoreError:
            # A notebook shows what it can; nothing raises here.
            epochs, metrics = nothing
        facts = {
            "experiment": self.experiment,
            "status": self.status.replace("_", " "),
            "epochs": counted(len(epochs), "epoch"),
            "id": self.id,
        }
        return run_card(self.name, facts, metrics)

    @property
    def recording(self) -> bool:
        """Whether what is logged here is kept."""
        return self.writer.recording

    @property
    def strict(self) -> bool:
        """Whether what cannot be recorded is raised."""
        return self.writer.strict

    @property
    def was_resumed(self) -> bool:
        """Whether this process continues a run that another one began."""
        return self._first_attempt > 1

    @property
    def is_resumed(self) -> bool:
        """Whether this attempt continues one of another process; a second training of this one does not."""
        return self.was_resumed and self.attempt == self._first_attempt

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.status != RunStatus.RUNNING

    @cached_property
    def log(self) -> LogCall:
        """Stream step metrics: buffered, in the database at most a second later.

        ``run.log(metrics, step=None)`` is the writer's own method, so that a step costs one call; when
        the run ends, one that refuses takes its place.

        Args:
            metrics: names and one number each: Python, NumPy, torch or TensorFlow scalars. A tensor
                on a device is not waited for; it is copied there and fetched with the next flush.
            step: any integer; the last step + 1 by default. Steps may repeat, go back or jump.

        Raises:
            BadValue: for text, None, or more than one element; for a step beyond 64 bits.
            RunClosed: when the run has finished.
        """
        return self.writer.log

    def count_steps(self, steps: Callable[[], int | None] | None) -> None:
        """Have `log` take its default step from the training that records here.

        Args:
            steps: returns how many training batches are done, or None where nobody counts them; None
                for the last step + 1 again.
        """
        if self.finished:
            return
        record = self.writer.log
        if steps is None:
            self.log = record
            return

        def log(metrics: Mapping[str, Any], step: int | None = None) -> None:
            self.writer.log(metrics, steps() if step is None else step)

        self.log = log

    def _refuse_log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Take the place of `log` when the run has ended."""
        self.check_open()

    def log_epoch(
        self,
        epoch: int,
        metrics: Mapping[str, Any],
        *,
        seconds: float | None = None,
        learning_rate: float | None = None,
        step: int | None = None,
        learning_rates: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        """Record an epoch; durable when this returns. A second call for the same epoch adds to it.

        Args:
            epoch: 0-based number.
            metrics: names and one number each.
            seconds: how long the epoch took; since the previous one (or the start) by default.
            learning_rate: the one that the epoch was trained with, when known.
            step: how many training batches the run had done at its end, those of earlier attempts included.
            learning_rates: of each parameter group, by name, the first and the last one of the epoch.

        Raises:
            BadValue: if epoch or step is not a non-negative integer, a metric not one number, metrics not a
                dict, or learning_rates not a dict of pairs of numbers.
        """
        self.check_open()
        number = epoch_number(epoch)
        plain = values.metrics(metrics)
        rate = None if learning_rate is None else values.number(learning_rate, "learning_rate")
        steps_done = None if step is None else values.whole(step, "step", least=0)
        rates = None if learning_rates is None else _rates(learning_rates)
        started, took = self._epochs.take(number, seconds)
        self.writer.record(
            entries.epoch(
                self.id, self.attempt, number, started, took, rate, plain,
                step=steps_done, learning_rates=rates, adds=number < self.first_epoch,
                timed=seconds is not None, kept=self.kept if number == self.first_epoch else None,
            )
        )  # fmt: skip

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record hyperparameters by name: numbers, text, None, lists, dicts; any integer is exact. `BadValue` else.

        A dataclass or an ``argparse.Namespace`` is a dict, too; each leaf has its path: ``opt.lr``.
        """
        self.check_open()
        entry = entries.params(self.id, params, self.attempt)
        if self.is_resumed:
            self._report_changes(params=params)
        self.writer.record(entry)

    def set_tags(self, tags: Mapping[str, Any] | Iterable[str]) -> None:
        """Record labels: names with values, or names alone; `BadValue` for anything else."""
        self.check_open()
        self.writer.record(entries.tags(self.id, tags))

    def capture(self, **sections: Any) -> None:
        """Record facts about this attempt (model, optimizer, device …) beside what is captured at the start."""
        self.check_open()
        plain = redact_data(values.plain(sections))
        if self.is_resumed:
            self._report_changes(captured=plain)
        self._record_captured(plain)

    def captured(self, section: str) -> Any:
        """Return what `capture` has recorded in this attempt under a name; None where it has not."""
        return self._captured.get(section)

    def note_unread(self, unread: Mapping[str, str]) -> None:
        """Record what cannot be measured of the machine, and why; called by the writer."""
        if not self.finished:
            self._record_captured({"system": {"unread": dict(unread)}})

    def _record_captured(self, plain: Mapping[str, Any]) -> None:
        """Record sections beside those that are there; other threads and signal handlers capture meanwhile."""
        self._captured.update(plain)
        self.writer.record(entries.attempt(self.writer.attempt_id, captured=values.to_json(plain)))

    def log_checkpoint(self, path: str | os.PathLike[str], **facts: Unpack[Facts]) -> Checkpoint:
        """Register a file, or a folder of files, that is complete: its size and SHA-256 are taken now.

        Args:
            path: the file or folder; of a folder the hash is that of a manifest, see `tracker.folders`.
            **facts: ``epoch``, ``step``, ``metrics``, ``monitor``, ``value``, ``policy``; each None by
                default. ``value`` is that of ``monitor``, taken from ``metrics`` when it is there.

        Raises:
            CheckpointError: if ``path`` is neither a regular file nor a folder that holds some.
        """
        self.check_open()
        return self._keeper.register(path, facts)

    def save_checkpoint(
        self, path: str | os.PathLike[str], save: Callable[[Path], object], **facts: Unpack[Facts]
    ) -> Checkpoint:
        """Save a file and register it, so that a kill at any moment leaves the old one or the new one, whole.

        Args:
            path: where it goes. A registered file of that name is replaced; one of another run is kept
                in the data folder first, see ``keep`` of `start_run`.
            save: called with a temporary path in the same folder; what it raises comes out unchanged.
            **facts: as for `log_checkpoint`.
        """
        self.check_open()
        return self._keeper.save(path, save, facts)

    def save_checkpoint_in_place(
        self, path: str | os.PathLike[str], save: Callable[[Path], object], **facts: Unpack[Facts]
    ) -> Checkpoint | None:
        """As `save_checkpoint`, for what cannot be saved under another name first: a kill may leave half a file.

        Returns None where ``save`` made something other than a regular file, which is not registered.
        """
        self.check_open()
        return self._keeper.save_in_place(path, save, facts)

    def link_checkpoint(self, path: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
        """Let ``path`` be a relative link to a file, such as ``last.pt``; a copy where links cannot be made.

        A registered file of another run that has the name is kept first, as by `save_checkpoint`.

        Raises:
            OSError: the folder cannot be written.
        """
        self.check_open()
        self._keeper.link(Path(path), absolute(target))

    def background_saver(self) -> BackgroundSaver:
        """Return a thread that saves beside the training, one file at a time: within it the methods here are called.

        The run ends when what was begun is done. What a save has raised and nobody has asked for is logged
        then.
        """
        self.check_open()
        return self._savers.add()

    def wait_for_saves(self) -> None:
        """Wait for the files that are being saved beside the training; what a save has raised is kept for later."""
        self._savers.wait()

    def checkpoints(self) -> list[Checkpoint]:
        """Return this run's available checkpoints, of all attempts, oldest first.

        A file that is being saved beside the training is not among them yet: see `wait_for_saves`.
        """
        return self._keeper.available()

    def prune_checkpoints(
        self, checkpoints: Iterable[Checkpoint], *, why: str = ""
    ) -> list[Checkpoint]:
        """Delete files; returns those deleted. Never pinned, last, best, changed or unregistered ones."""
        self.check_open()
        return self._keeper.prune(checkpoints, why)

    def note_deleted(self, path: str | os.PathLike[str]) -> list[Checkpoint]:
        """Record that whoever saved a registered checkpoint has deleted it: it counts as pruned, not as missing.

        A checkpoint of another run counts as well: a trainer that trains twice deletes what it saved the first time.

        Returns:
            What was registered there; nothing where the path still exists.
        """
        self.check_open()
        return self._keeper.note_deleted(path)

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
        policy = add_policy(self, kind, monitor, config, rules)
        self._policies.append(policy)
        return policy

    def _report_changes(
        self, params: Mapping[str, Any] | None = None, captured: Mapping[str, Any] | None = None
    ) -> None:
        """Log what differs from the attempt before, once."""
        try:
            changes = self.writer.query(
                lambda reader: resume.changes(
                    reader, self.id, self.attempt, params or {}, captured or {}
                ),
                resume.Changes(),
            )
        except StoreError:
            # It is logged already that the database does not answer; training continues.
            return
        changes.report(self.name, self._reported)

    def define_metric(self, name: str, mode: str | None = None, *, monitor: bool = False) -> None:
        """Say which way is better for a metric: lists, filters, sorting and replays go by it.

        Args:
            name: the metric.
            mode: "min" or "max"; "none" for a metric that has no best, such as a temperature. None
                leaves that to the callbacks and the name.
            monitor: whether it is the metric that the run is judged by.

        Raises:
            BadValue: if mode is something else.
        """
        self.check_open()
        check_declared(mode)
        source = DirectionSource.NAME if mode is None else DirectionSource.DECLARED
        self.writer.record(
            entries.definition(
                self.id, values.name_text(name), None if mode == "none" else mode, source,
                monitor=monitor,
            )
        )  # fmt: skip

    def history(self) -> dict[str, list[float]]:
        """Return the effective epochs before `first_epoch`: metric → a value per epoch (NaN where it has none).

        Of all attempts, as `recorded_epoch` and `epochs_done`; each is empty where nothing is recorded.

        Raises:
            StoreError: when the database does not answer: that is not the same as no epochs.
        """
        return self.writer.query(
            lambda reader: resume.history(reader, self.id, self.first_epoch).metrics, {}
        )

    def recorded_epoch(self, epoch: int) -> dict[str, float] | None:
        """Return the metrics of one effective epoch; None where it was not recorded. Raises as `history` does."""
        return self.writer.query(lambda reader: resume.recorded_epoch(reader, self.id, epoch), None)

    def epochs_done(self) -> list[int]:
        """Return the numbers of the effective epochs before `first_epoch`. Raises as `history` does."""
        return self.writer.query(
            lambda reader: resume.history(reader, self.id, self.first_epoch).epochs, []
        )

    def steps_done(self) -> int:
        """Return how many training batches the run had done before `first_epoch`; 0 where nobody said.

        It is what `log_epoch` was told with the last effective epoch; a resumed training continues counting
        there. Raises as `history` does.
        """
        return self.writer.query(
            lambda reader: resume.steps_done(reader, self.id, self.first_epoch), 0
        )

    def commit(self, step: int) -> Kept:
        """Bring what was logged to the disk, in the middle of an epoch; return how far the record is then.

        With a backup that is taken at this moment, after so many training batches, it says what a training that
        continues from there does not repeat: see `rewind`.
        """
        number = self.next_number("decision")
        self.writer.flush(CALL_SECONDS)
        return {"attempt": self.attempt, "decisions": number, "step": step}

    def rewind(self, epoch: int, kept: Kept | None = None) -> None:
        """Resume at an earlier epoch; what was recorded from there on is superseded when repeated.

        In the middle of it where ``kept`` is what `commit` returned there: decisions that were taken before stay.

        Where this attempt has itself recorded such epochs (a second ``fit``), or steps of an epoch that it
        did not end, the next one begins. Of step metrics those from its first step on are superseded: give `log`
        the ``step`` where it should count from the earlier epoch, too; without it, counting continues.
        """
        self.first_epoch, self.kept = epoch_number(epoch), kept
        # What is being saved belongs to what was trained before.
        self.wait_for_saves()
        repeats = self._epochs.last is not None and self._epochs.last >= self.first_epoch
        if repeats or self.trained.in_epoch:
            self.trained.in_epoch = False
            self.attempt += 1
            self._epochs = EpochClock()
            self._numbers = _numbers()
            self.writer.next_attempt(self.attempt)
        for policy in self._policies:
            policy.load_state()

    def note_stop(self, reason: str | None) -> None:
        """Remember that training was stopped early, and why; `finish` then says so. None: it continues."""
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
        try:
            self.wait_for_saves()
        finally:
            # A second Ctrl-C, which ends the wait, must not cost the status.
            self._end(RunStatus(status), reason, error)

    def interrupt(self, reason: str) -> None:
        """End the run as interrupted, soon: the process was asked to end.

        A file that is being saved has `TERMINATION_SECONDS`; the one that it was to replace stays else.
        """
        if not self._savers.wait(TERMINATION_SECONDS):
            log.warning(
                "local-tracker: run %s ends while a checkpoint is being saved: the file before it stays.",
                self.name,
            )
        if not self.finished:
            self._end(RunStatus.INTERRUPTED, reason, None)

    def _end(self, ended: RunStatus, reason: str | None, error: BaseException | str | None) -> None:
        if ended is RunStatus.FINISHED and self._stop_reason is not None:
            ended, reason = RunStatus.STOPPED_EARLY, self._stop_reason
        self._close_savers()
        self.status = ended
        active.leave(self)
        self.log = self._refuse_log
        ending = entries.end(
            self.id, self.writer.attempt_id, self.attempt, ended, reason, error,
            kept=self._ending if self._withdrawn else None,
        )  # fmt: skip
        try:
            self.writer.close(ending)
        except KeyboardInterrupt:
            # A second Ctrl-C must not cost the status.
            self.writer.close(ending)
            raise
        active.call_all(self._after)

    def _close_savers(self) -> None:
        for error in self._savers.close():
            log.error(
                "local-tracker: a checkpoint of run %s could not be saved: %s: %s",
                self.name, type(error).__name__, error,
            )  # fmt: skip

    def on_finish(self, call: Callable[[], object]) -> None:
        """Have ``call`` called once the run has ended and its status is on disk; not after a kill."""
        self._after.append(call)

    def fail(self, error: BaseException) -> None:
        """End the run because of an exception: failed, but interrupted for Ctrl-C, exits and cancelled tasks."""
        failed = isinstance(error, Exception)
        status = RunStatus.FAILED if failed else RunStatus.INTERRUPTED
        self.finish(status, f"training raised {type(error).__name__}", error)

    def withdraw(self, error: BaseException) -> None:
        """End a resumed attempt that was refused before it trained: it failed, the run stays as it was."""
        self._withdrawn = True
        self.fail(error)

    def next_number(self, what: str) -> int:
        """Count decisions and policies of this attempt."""
        return next(self._numbers[what])

    def discard(self) -> bool:
        """Take the run back where this process turns out to be one that records nothing; say whether.

        It is one of several ranks, and began the run before that was known. What it has recorded stays, as
        does a run that was started with ``recording=True``.
        """
        if self._recording_asked or not self.writer.discard():
            return False
        self._be_silent()
        return True

    def disown(self) -> None:
        """After a fork: the run belongs to the parent, the child records and ends nothing."""
        self.writer.forget()
        self._savers.forget()
        self._be_silent()
        self._after = []

    def _be_silent(self) -> None:
        self.writer = NullRecorder(strict=self.writer.strict)
        self._keeper = CheckpointKeeper(self)
        self.log = self.writer.log

    def check_open(self) -> None:
        """Raise `RunClosed` when the run has finished."""
        if self.finished:
            raise RunClosed(
                f"The run {self.name} has ended ({self.status}). Start another one, or resume it: "
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


def _rates(given: Mapping[str, tuple[float, float]]) -> str:
    """Return the learning rates of parameter groups as JSON: by group, the first and the last."""
    try:
        pairs = [(name, (first, last)) for name, (first, last) in given.items()]
    except (AttributeError, TypeError, ValueError) as error:
        raise values.no_mapping(
            given, "learning_rates", "a dict of groups and their first and last learning rate"
        ) from error
    return values.to_json(
        {
            values.name_text(name): [
                values.number(rate, f"learning_rates of {name}") for rate in pair
            ]
            for name, pair in pairs
        }
    )


def _numbers() -> dict[str, count[int]]:
    return {"decision": count(1), "policy": count(1)}
