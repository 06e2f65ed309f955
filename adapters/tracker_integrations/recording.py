"""What every neighbour's events become: a run, its epochs and steps, decisions, checkpoints, an end."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypedDict, cast

import tracker
from tracker import Checkpoint, Ownership, Policy, Run


class Start(TypedDict, total=False):
    """What a run is started with; see `tracker.start_run`, and ``run``, one that is active already."""

    experiment: str | None
    name: str | None
    params: Mapping[str, Any] | None
    tags: Mapping[str, Any] | Iterable[str] | None
    database: str | os.PathLike[str] | None
    resume: str | None
    parent: Run | str | None
    strict: bool
    run: Run | None


class _Ending(NamedTuple):
    """How a training ended; see `Run.finish` and `Run.fail`."""

    status: str = "finished"
    reason: str | None = None
    error: BaseException | None = None


class Recording:
    """One training that a neighbour drives, and the run that it is recorded in.

    The run is claimed when it is first needed: ``run``, where one is given; else the innermost run of this
    context that no other training records into; else one of its own, which ends with the training. What cannot
    be recorded is a warning, once per sentence, and never an error of the training, unless ``strict`` asks for it.

    Args:
        who: the class that users know, for messages.
        main: whether this process records; False on the other ranks.
        is_driven: says whether somebody still drives this training; one that was left is closed by the next.
        start: what a run is started with.

    Attributes:
        main: as given; it counts when the run begins.
        stopped: whether the neighbour's own rule has stopped the training.
    """

    def __init__(
        self,
        who: str,
        start: Start | None = None,
        *,
        main: bool = True,
        is_driven: Callable[[], bool] | None = None,
    ) -> None:
        self._who, self.main, self._is_driven = who, main, is_driven
        self._start: Start = {**(start or {})}
        self._defaults: Start = {}
        self._policies: dict[Hashable, Policy] = {}
        self._warned: set[str] = set()
        self._ownership = self._owned()
        self.stopped = False
        self._stop_reason: str | None = None
        self._ending: _Ending | None = None
        self._reopened: _Ending | None = None

    def _owned(self) -> Ownership:
        arguments: dict[str, Any] = {
            name: value for name, value in self._start.items() if name != "run"
        }
        run = self._start.get("run")
        return Ownership(self, self._who, run, main=self.main, defaults=self._defaults, **arguments)

    # Whose run it is

    def default(self, **start: Any) -> None:
        """Say what a run of its own is started with where nothing else was given; it counts when the run begins."""
        self._defaults.update(cast(Start, start))

    @property
    def started(self) -> bool:
        """Whether the run was started for this training, and ends with it."""
        return self._ownership.started

    @property
    def run(self) -> Run:
        """The run; it begins here where it has not yet."""
        return self._ownership.run or self.begin()

    @property
    def has_begun(self) -> bool:
        """Whether there is a run, live or ended."""
        return self._ownership.run is not None

    @property
    def is_open(self) -> bool:
        """Whether what happens now is still recorded."""
        return self.has_begun and self._ownership.is_held and not self._ownership.has_ended

    def begin(self, resume: str | None = None) -> Run:
        """Claim the run; a training that has one keeps it, and one that ended is followed by another.

        Args:
            resume: the id of a run that the neighbour's own checkpoint names: this training continues it. One that
                cannot be resumed, because it is unknown or still records, is a warning, and a run begins.
        """
        if self._reopened is not None and resume != self.run.id:
            # A run that was reopened ends before another training begins.
            self.end()
        self._reopened = None
        if self.is_open and not self._gives_way_to(resume):
            return self.run
        if self._ownership.has_ended or not self.has_begun:
            self._ownership, self._policies, self.stopped = self._owned(), {}, False
        if resume is not None and not self._start.get("resume"):
            self._continue(resume)
        for note in self._ownership.claim():
            self.warn(note)
        run = self._ownership.run
        assert run is not None
        if self._ownership.started:
            run.at_exit = ("interrupted", "the process ended before the training did")
        return run

    def _gives_way_to(self, resume: str | None) -> bool:
        """Take back a run that was just begun and recorded nothing, where another one turns out to be continued."""
        run = self.run
        if resume is None or run.id == resume or self._start.get("resume") or not self.started:
            return False
        if self._policies or run.trained.last_epoch is not None or not run.discard():
            return False
        self._ownership.end()
        return True

    def reopen(self) -> None:
        """Begin, or go on in the run that has ended here: it keeps the status that it had."""
        ended = self._ownership.run
        if ended is None or not ended.finished:
            self.begin()
            return
        status, reason, ending = ended.status, self._stop_reason, self._ending
        run = self.begin(resume=ended.id)
        if run.id != ended.id:
            return
        if status == "stopped_early":
            self.stop(reason or "training was stopped early")
        self._reopened = ending or _Ending()
        if self.started:
            run.at_exit = self._reopened.status, self._reopened.reason

    def _continue(self, resume: str) -> None:
        """Claim the run of that id, unless another one of this context is to be joined."""
        active = tracker.active_run()
        if self._start.get("run") is not None or (active is not None and active.id != resume):
            return
        fresh = self._ownership
        self._start["resume"] = resume
        try:
            self._ownership = self._owned()
            self._ownership.claim()
        except (tracker.NothingToResume, tracker.RunBusy, tracker.AmbiguousRun) as error:
            self._ownership = fresh
            self.warn(f"The run {resume} is not continued, a new one begins: {error}")
        finally:
            self._start["resume"] = None

    def starts_at(self, epoch: int) -> None:
        """Say which epoch a resumed training begins with: what was recorded from there on is superseded."""
        if not self.is_open:
            return
        with self._shielded():
            run, last = self.run, self.run.trained.last_epoch
            if last is None and run.attempt > 1 and run.first_epoch != epoch:
                run.rewind(epoch)
            elif last is not None and epoch <= last:
                self.warn(
                    f"this training begins at epoch {epoch} (0-based), and run {run.name} has recorded epochs up to "
                    f"{last}: those that are repeated are superseded, kept but not shown."
                )
                run.rewind(epoch)

    def is_left(self) -> bool:
        """Whether nobody drives this training any more."""
        return self._is_driven is not None and not self._is_driven()

    def close_left(self) -> None:
        """End a training that was left."""
        self.end("interrupted", "training was left before it ended")

    # What happens in it

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Stream step metrics; what is not one number is left out, with a warning."""
        if not self.is_open or not metrics:
            return
        with self._shielded():
            try:
                self.run.log(metrics, step)
            except tracker.BadValue:
                if plain := self.numbers(metrics):
                    self.run.log(plain, step)

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
        """Record an epoch, or add to it; see `tracker.Run.log_epoch`."""
        if not self.is_open:
            return
        with self._shielded():
            plain = self.numbers(metrics)
            self.run.log_epoch(
                epoch,
                plain,
                seconds=seconds,
                learning_rate=learning_rate,
                step=step,
                learning_rates=learning_rates,
            )
            self.run.trained.last_epoch = epoch

    def numbers(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """Return the entries that are one number each; the others are named in a warning."""
        try:
            return tracker.numbers({str(name): value for name, value in metrics.items()})
        except tracker.BadValue:
            pass
        plain: dict[str, float] = {}
        for name, value in metrics.items():
            try:
                plain[str(name)] = tracker.number(value, str(name))
            except tracker.BadValue:
                self.warn(f"{name} is not recorded: a metric is one number, not {_kind(value)}.")
        return plain

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record hyperparameters; what is neither number, text, list nor dict is kept as its text."""
        if params and self.is_open:
            with self._shielded():
                self.run.log_params({str(name): _param(value) for name, value in params.items()})

    def capture(self, **facts: Any) -> None:
        """Record facts about this attempt."""
        if self.is_open:
            with self._shielded():
                self.run.capture(**facts)

    # What callbacks decide

    def policy(
        self,
        key: Hashable,
        kind: str,
        *,
        monitor: str | None = None,
        config: Mapping[str, Any] | None = None,
        rules: str | None = None,
    ) -> Policy:
        """Return the policy that stands for a callback of the neighbour; it is registered the first time.

        Args:
            key: tells the callback from others; the same one gets the same policy as long as the run lasts.
            kind, monitor, config, rules: see `tracker.Run.add_policy`.
        """
        if key not in self._policies:
            plain = {name: _param(value) for name, value in (config or {}).items()}
            self._policies[key] = self.run.add_policy(
                kind, monitor=monitor, config=plain, rules=rules
            )
        return self._policies[key]

    def decide(
        self, policy: Policy, verdict: str, *, epoch: int, reason: str, **facts: Any
    ) -> None:
        """Record what a callback decided; see `tracker.Policy.decide`."""
        if self.is_open:
            with self._shielded():
                policy.decide(verdict, epoch=epoch, reason=reason, **facts)

    def stop(self, reason: str) -> None:
        """Note that the training is stopped early, and why: the first reason stays."""
        if self.is_open and not self.stopped:
            self.stopped, self._stop_reason = True, reason
            self.run.note_stop(reason)

    # What it saves

    def saved(self, path: str | os.PathLike[str], **facts: Any) -> Checkpoint | None:
        """Register a file or a folder that the neighbour has saved; see `tracker.Run.log_checkpoint`."""
        if not self.is_open:
            return None
        with self._shielded():
            return self.run.log_checkpoint(path, **facts)
        return None

    def deleted(self, path: str | os.PathLike[str]) -> list[Checkpoint]:
        """Note that the neighbour has deleted a file or a folder of its own; returns what was registered there."""
        if not self.is_open:
            return []
        with self._shielded():
            return self.run.note_deleted(path)
        return []

    # How it ends

    def end(self, status: str = "finished", reason: str | None = None) -> None:
        """Release the run, and end it where it was started for this training; reopened, as it had ended."""
        ending, self._reopened = self._reopened, None
        self._end(_Ending(status, reason) if ending is None or status != "finished" else ending)

    def _end(self, ending: _Ending) -> None:
        if self._ownership.is_held:
            self._ending = ending
            with self._shielded():
                if ending.error is not None:
                    self._ownership.fail(ending.error)
                else:
                    self._ownership.end(ending.status, ending.reason)

    def withdraw(self) -> None:
        """Take back a run that was begun for a training that then did not begin; one with records stays."""
        if self.is_open and self.started:
            self.run.discard()
        self.end()

    def fail(self, error: BaseException) -> None:
        """Do what `end` does, because of an error."""
        self._reopened = None
        status = "failed" if isinstance(error, Exception) else "interrupted"
        self._end(_Ending(status, f"training raised {type(error).__name__}", error))

    @contextmanager
    def _shielded(self) -> Iterator[None]:
        """Warn of what we raise, instead of raising it into the training."""
        try:
            yield
        except tracker.TrackerError as error:
            if self._start.get("strict"):
                raise
            self.warn(str(error))

    def warn(self, sentence: str) -> None:
        """Warn with a sentence, once."""
        if sentence not in self._warned:
            self._warned.add(sentence)
            warnings.warn(f"local-tracker: {sentence}", stacklevel=3)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the run behind: a copy in another process, or beside this one, records into its own."""
        state = {**self.__dict__, "_policies": {}, "_ownership": None, "_is_driven": None}
        state["stopped"], state["_ending"], state["_reopened"] = False, None, None
        state["_start"] = {**self._start, "run": None}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._ownership = self._owned()


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__}{'' if shape is None else f' of shape {tuple(shape)}'}"


def _param(value: Any) -> Any:
    """Return a parameter as it can be kept: containers stay what they are, objects become their text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(name): _param(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_param(part) for part in value]
    try:
        return tracker.number(value, "value")
    except tracker.BadValue:
        return getattr(value, "__qualname__", None) or str(value)
