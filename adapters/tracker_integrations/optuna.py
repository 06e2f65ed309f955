"""Optuna: a run for each trial below one for the study, and what the pruner said at each step.

    import optuna
    from tracker_integrations.optuna import attach

    study = optuna.create_study(pruner=optuna.pruners.MedianPruner())
    attach(study, experiment="digits")
    study.optimize(objective, n_trials=20)

Read in Optuna 5.0.0. A callback of Optuna's hears of a trial when it has ended, and of the end of a study
never: `attach` therefore wraps ``study.optimize`` and ``study.pruner``. `TrackerCallback` and
`RecordedPruner` do their part of it alone.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial, wraps
from os import PathLike
from typing import Any

import tracker
from tracker_integrations.needed import needed

with needed("optuna", "optuna"):
    import optuna
    from optuna.pruners import BasePruner
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial, TrialState

    from tracker_integrations.optuna_parts.pruner import REPORTED as REPORTED
    from tracker_integrations.optuna_parts.pruner import Key, key_of, mode_of
    from tracker_integrations.optuna_parts.pruner import RecordedPruner as RecordedPruner

RUN_OF_STUDY = "tracker_run"
"""The attribute of a study that holds the id of its run."""

Objective = Callable[[Trial], "float | Sequence[float]"]


def attach(
    study: Study,
    experiment: str | None = None,
    *,
    tags: Mapping[str, Any] | Iterable[str] | None = None,
    database: str | PathLike[str] | None = None,
    strict: bool = False,
) -> None:
    """Record the trials that ``study.optimize`` runs from now on.

    The study is a run, and each trial one below it, which is the active run while the objective runs: a
    training in there records into it. A second call of ``optimize``, in another process as well, continues
    the study's run.

    Args:
        study: its ``optimize`` and its ``pruner`` are replaced by ones that record.
        experiment: what groups the runs; by default the name of the study.
        tags, database, strict: as for `tracker.start_run`.
    """
    if not isinstance(study.pruner, RecordedPruner):
        study.pruner = RecordedPruner(study.pruner)
    options = {"tags": tags, "database": database, "strict": strict}
    # A partial of a function of this module can be pickled, and the study with it.
    study.optimize = partial(_optimize, study, experiment or study.study_name, options)


def _optimize(
    study: Study, experiment: str, options: dict[str, Any], *args: Any, **kwargs: Any
) -> None:
    given = inspect.signature(Study.optimize).bind(study, *args, **kwargs)
    with _study_run(study, experiment, options) as run:
        callback = TrackerCallback(experiment, parent=run, **options)
        given.arguments["func"] = callback.track_in_objective(given.arguments["func"])
        given.arguments["callbacks"] = [callback, *(given.arguments.get("callbacks") or ())]
        try:
            Study.optimize(*given.args, **given.kwargs)
        finally:
            run.capture(optuna=_facts(study))


def _study_run(study: Study, experiment: str, options: Mapping[str, Any]) -> tracker.Run:
    """Continue the run that the study had; start one where it has none, or another process holds it."""
    start = partial(tracker.start_run, experiment=experiment, name=study.study_name, **options)
    earlier = study.user_attrs.get(RUN_OF_STUDY)
    if isinstance(earlier, str):
        with suppress(tracker.NothingToResume):
            try:
                return start(resume=earlier)
            except tracker.RunBusy:
                return start(parent=earlier)
    run = start()
    if run.recording:
        study.set_user_attr(RUN_OF_STUDY, run.id)
    return run


def _facts(study: Study) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "study": study.study_name,
        "sampler": type(study.sampler).__name__,
        "pruner": type(_inner(study.pruner)).__name__,
        "directions": [direction.name.lower() for direction in study.directions],
    }
    best = study.best_trials
    if best:
        facts["best_trials"] = [trial.number for trial in best]
        facts["best_params"] = best[0].params
        facts["best_values"] = best[0].values
    return facts


class TrackerCallback:
    """Record each trial as a run: its parameters, what it reported, its values, and how it ended.

    A pruned trial has stopped early, one that raised has failed. The run of a trial whose objective is not
    tracked is made when the trial has ended: it holds what the trial reported, not when.

    Args:
        experiment: what groups the runs; by default the name of the study.
        parent: the run that those of the trials stand below; by default the active one, if there is one.
        tags, database, strict: as for `tracker.start_run`.
    """

    def __init__(
        self,
        experiment: str | None = None,
        *,
        parent: tracker.Run | str | None = None,
        tags: Mapping[str, Any] | Iterable[str] | None = None,
        database: str | PathLike[str] | None = None,
        strict: bool = False,
    ) -> None:
        self._experiment = experiment
        self._parent = parent
        self._options: dict[str, Any] = {"tags": tags, "database": database, "strict": strict}
        self._recorded: set[Key] = set()

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Record a trial that has ended, and what has become of the study with it."""
        if key_of(study, trial) not in self._recorded:
            run = self._start(study, trial)
            self._complete(run, study, trial)
            if trial.state == TrialState.PRUNED:
                self._note_pruned(run, study, trial)
            if trial.state == TrialState.FAIL:
                run.finish("failed", f"the objective of trial {trial.number} failed")
            run.finish()
        key = key_of(study, trial)
        self._recorded.discard(key)
        if isinstance(study.pruner, RecordedPruner):
            study.pruner.forget(key)
        if isinstance(self._parent, tracker.Run) and not self._parent.finished:
            self._parent.log(_of_study(study, trial), step=trial.number)

    def track_in_objective(self, objective: Objective) -> Objective:
        """Have the run of a trial active while its objective runs; usable as a decorator.

        What trains in there records into it, and what the pruner says is recorded at once.
        """

        @wraps(objective)
        def tracked(trial: Trial) -> float | Sequence[float]:
            study = trial.study
            with self._start(study, trial) as run:
                self._recorded.add(key_of(study, trial))
                try:
                    values = objective(trial)
                except optuna.TrialPruned as pruned:
                    self._complete(run, study, _frozen(study, trial))
                    self._note_pruned(run, study, trial, pruned)
                    run.finish()
                    raise
                except BaseException:
                    self._complete(run, study, _frozen(study, trial))
                    raise
                self._complete(run, study, _frozen(study, trial), values)
                if _is_refused(values, len(study.directions)):
                    run.finish("failed", f"the objective returned {values!r}, which Optuna refuses")
            return values

        return tracked

    def _start(self, study: Study, trial: Trial | FrozenTrial) -> tracker.Run:
        parent = self._parent or tracker.active_run()
        run = tracker.start_run(
            experiment=self._experiment or study.study_name,
            name=f"{study.study_name}-trial-{trial.number}",
            parent=parent,
            **self._options,
        )
        for name, direction in zip(_names(study), study.directions, strict=True):
            run.define_metric(name, mode_of(direction), monitor=True)
        if len(study.directions) == 1:
            run.define_metric(REPORTED, mode_of(study.directions[0]))
        pruner = study.pruner
        if isinstance(pruner, RecordedPruner):
            pruner.record_into(run, key_of(study, trial))
        return run

    def _complete(
        self,
        run: tracker.Run,
        study: Study,
        trial: FrozenTrial,
        values: float | Sequence[float] | None = None,
    ) -> None:
        run.log_params({name: _plain(value) for name, value in trial.params.items()})
        run.capture(optuna=_facts_of_trial(study, trial))
        for step, value in sorted(trial.intermediate_values.items()):
            run.log({REPORTED: value}, step=step)
        # The value of a pruned trial is the last one that it reported.
        found = trial.values if trial.state == TrialState.COMPLETE else values
        if found is not None and not _is_refused(found, len(study.directions)):
            last = max(trial.intermediate_values, default=0)
            run.log(dict(zip(_names(study), _several(found), strict=True)), step=last)

    def _note_pruned(
        self,
        run: tracker.Run,
        study: Study,
        trial: Trial | FrozenTrial,
        pruned: BaseException | str = "",
    ) -> None:
        """Say why a trial was given up: in the pruner's words where it asked for that."""
        key, said = key_of(study, trial), str(pruned)
        why = study.pruner.reason(key) if isinstance(study.pruner, RecordedPruner) else None
        run.note_stop(why or f"the objective raised TrialPruned{f': {said}' if said else ''}")


def _frozen(study: Study, trial: Trial) -> FrozenTrial:
    return study.get_trials(deepcopy=False)[trial.number]


def _plain(choice: Any) -> Any:
    """Return what a categorical parameter may be as it can be kept."""
    return choice if isinstance(choice, (str, int, float, bool, type(None))) else repr(choice)


def _several(values: Any) -> list[Any]:
    return list(values) if isinstance(values, Sequence) else [values]


def _is_refused(values: Any, count: int) -> bool:
    """Whether Optuna takes what an objective returned for a failure: no number, a NaN, or too few values."""
    several = _several(values)
    try:
        return len(several) != count or any(math.isnan(float(value)) for value in several)
    except (TypeError, ValueError):
        return True


def _facts_of_trial(study: Study, trial: FrozenTrial) -> dict[str, Any]:
    return {
        "study": study.study_name,
        "trial": trial.number,
        "distributions": {name: str(kind) for name, kind in trial.distributions.items()},
        "user_attrs": trial.user_attrs,
    }


def _of_study(study: Study, trial: FrozenTrial) -> dict[str, float]:
    """Return what is known of a study after one of its trials: the values of that one, and the best so far."""
    values = dict(zip(_names(study), trial.values or (), strict=False))
    if len(study.directions) == 1:
        with suppress(ValueError):  # Optuna's for a study without a complete trial
            values["best_value"] = study.best_value
    return values


def _names(study: Study) -> list[str]:
    """Return the names of a study's objectives: those it was given, else value, or value_0, value_1 …"""
    if study.metric_names is not None:
        return list(study.metric_names)
    count = len(study.directions)
    return ["value"] if count == 1 else [f"value_{number}" for number in range(count)]


def _inner(pruner: BasePruner) -> BasePruner:
    return pruner.pruner if isinstance(pruner, RecordedPruner) else pruner
