"""Ray Tune: a run for each trial below one for the experiment, and what the scheduler decided at each result.

    from ray import tune
    from tracker_integrations.ray import TrackerCallback

    tune.Tuner(train, run_config=tune.RunConfig(callbacks=[TrackerCallback(experiment="digits")])).fit()

Read in Ray 2.60.0. Callbacks run in the process that called ``fit``: the database is that process's, and workers need
no local-tracker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, cast

import tracker
from tracker_integrations.caller import caller
from tracker_integrations.judged import Seen, record_check
from tracker_integrations.needed import needed
from tracker_integrations.recording import Recording, Start

with needed("ray", "ray"):
    import ray
    from ray import tune
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial
    from ray.tune.result import AUTO_RESULT_KEYS
    from ray.tune.schedulers import FIFOScheduler

_OF_RAY = {
    *AUTO_RESULT_KEYS,
    "done",
    "should_checkpoint",
    "trial_id",
    "experiment_tag",
    "time_since_restore",
}
"""What Ray adds to each result."""


@dataclass
class _Training:
    """A trial that is recorded.

    Attributes:
        recording: its run.
        seen: the best value so far of what the search goes by.
        folders: the checkpoints that were registered and not deleted.
    """

    recording: Recording
    seen: Seen = field(default_factory=Seen)
    folders: set[Path] = field(default_factory=set)

    def note_deleted(self) -> None:
        """Note the checkpoints that are gone: ``num_to_keep`` deletes them."""
        for folder in sorted(folder for folder in self.folders if not folder.is_dir()):
            self.folders.remove(folder)
            self.recording.deleted(folder)


class TrackerCallback(tune.Callback):
    """Record each trial as a run: its parameters, results, checkpoints, what the scheduler said, how it ended.

    A result is an epoch. A trial that the scheduler or a stopping criterion ends has stopped early; one that raises has
    failed; one that is retried goes on in its run. All stand below a run of the experiment, the active one where there
    is one.

    Args:
        experiment, name, tags, database, strict: as for `tracker.start_run`; the name is that of the experiment's run.
        run: a run to stand below, instead.
    """

    def __init__(
        self,
        experiment: str | None = None,
        name: str | None = None,
        *,
        tags: Mapping[str, Any] | Iterable[str] | None = None,
        database: str | PathLike[str] | None = None,
        strict: bool = False,
        run: tracker.Run | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            "experiment": experiment,
            "tags": tags,
            "database": database,
            "strict": strict,
        }
        self._start = cast(Start, {**self._options, "name": name, "run": run})
        self._experiment: Recording | None = None
        self._trainings: dict[str, _Training] = {}

    @property
    def run(self) -> tracker.Run | None:
        """The run of the experiment; None before it begins."""
        return None if self._experiment is None else self._experiment.run

    def setup(
        self,
        stop: Any = None,
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,
    ) -> None:
        """Begin the run of the experiment."""
        self._experiment = Recording("TrackerCallback", self._start)
        self._experiment.begin()
        self._experiment.capture(ray={"version": ray.__version__, "samples": total_num_samples})

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Begin the run of a trial; one that was paused or is retried goes on in its own."""
        self._training(trial)

    def _training(self, trial: Trial) -> _Training:
        known = self._trainings.get(trial.trial_id)
        if known is None:
            # Several trials train at a time, and none is the active run of the process that hears of them.
            recording = Context().run(self._begin, trial)
            known = self._trainings[trial.trial_id] = _Training(recording)
        return known

    def _begin(self, trial: Trial) -> Recording:
        parent = self.run
        assert parent is not None
        name = f"{parent.name}-{trial.trial_id}"
        start = {**self._options, "experiment": parent.experiment, "name": name, "parent": parent}
        recording = Recording("TrackerCallback", cast(Start, start))
        recording.begin()
        recording.log_params(trial.config)
        recording.capture(
            ray={"trial": trial.trial_id, "resources": str(trial.placement_group_factory)}
        )
        return recording

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Record a result as an epoch, and what was decided about the trial."""
        training, epoch = self._training(trial), int(result["training_iteration"]) - 1
        training.recording.log_epoch(
            epoch, _metrics(result), seconds=result.get("time_this_iter_s")
        )
        controller = caller(TuneController)
        scheduler = None if controller is None else controller._scheduler_alg
        is_done = bool(result.get("done"))
        if is_done and trial.should_stop({**result, "done": False}):
            training.recording.stop(f"{trial.stopping_criterion} was reached at result {epoch}")
        elif type(scheduler) is FIFOScheduler and is_done:
            training.recording.stop(f"the experiment's stopper ended the trial at result {epoch}")
        elif (monitor := getattr(scheduler, "_metric", None)) in result:
            self._judge(training, scheduler, epoch, monitor, float(result[monitor]), is_done)

    def _judge(
        self,
        training: _Training,
        scheduler: Any,
        epoch: int,
        monitor: str,
        value: float,
        is_done: bool,
    ) -> None:
        """Record what a scheduler that compares trials has decided."""
        before, mode = training.seen, getattr(scheduler, "_mode", None) or "max"
        training.seen = before.after(epoch, value, mode)
        kind, limit = type(scheduler).__name__, getattr(scheduler, "_max_t", None)
        at = f"at result {epoch}, where {monitor} is {value:.4g}"
        is_whole = is_done and limit is not None and epoch + 1 >= limit
        if is_whole:
            why = f"{kind}: the trial has its max_t of {limit} {at}"
        else:
            why = f"{kind} {'ended the trial' if is_done else 'lets the trial continue'} {at}"
        record_check(
            training.recording,
            training.recording.policy(kind, kind, monitor=monitor, config=_settings(scheduler)),
            before,
            training.seen,
            epoch=epoch,
            value=value,
            stopped=is_done and not is_whole,
            why=why,
        )

    def on_checkpoint(
        self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Any, **info: Any
    ) -> None:
        """Register the folder that a trial has reported, and note those that were deleted for it."""
        training, folder = self._training(trial), Path(checkpoint.path)
        if folder.is_dir():
            training.folders.add(folder)
            result = trial.last_result or {}
            epoch = max(int(result.get("training_iteration", 1)) - 1, 0)
            training.recording.saved(folder, epoch=epoch, metrics=_metrics(result))
        training.note_deleted()

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """End the run of a trial, and record its last result in the experiment's."""
        training = self._training(trial)
        training.note_deleted()
        training.recording.end()
        if self._experiment is not None:
            number = [one.trial_id for one in trials].index(trial.trial_id)
            self._experiment.log(_metrics(trial.last_result or {}), step=number)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """End the run of a trial because it raised."""
        self._training(trial).recording.fail(_error_of(trial))

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """End the run of the experiment, and those of trials that have not ended."""
        for training in self._trainings.values():
            training.recording.close_left()
        if self._experiment is not None:
            self._experiment.end()
        self._trainings = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the runs behind: Ray keeps a copy of each callback beside its results."""
        start = {**self._start, "run": None}
        return {**self.__dict__, "_start": start, "_experiment": None, "_trainings": {}}


def _error_of(trial: Trial) -> BaseException:
    """Return what a trial raised; Ray has it in a file of this machine, and copies that to its storage later."""
    path = trial.pickled_error_file
    if path is None or not Path(path).exists():
        return RuntimeError(f"{trial} failed, and Ray does not say with what")
    error: BaseException = ray.cloudpickle.loads(Path(path).read_bytes())
    return getattr(error, "cause", None) or error


def _metrics(result: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers of a result that are the trial's own; nested ones are joined by slashes."""
    found: dict[str, float] = {}
    for name, value in result.items():
        if isinstance(value, Mapping) and name != "config":
            found.update(_metrics(value, f"{prefix}{name}/"))
        elif name not in _OF_RAY:
            try:
                found[f"{prefix}{name}"] = tracker.number(value, name)
            except tracker.BadValue:
                continue
    return found


def _settings(scheduler: Any) -> dict[str, Any]:
    """Return the plain ones of a scheduler's attributes, which are private in Ray."""
    plain = (str, int, float, bool)
    return {
        name.lstrip("_"): value
        for name, value in vars(scheduler).items()
        if isinstance(value, plain)
    }
