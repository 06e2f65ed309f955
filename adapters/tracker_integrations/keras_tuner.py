"""KerasTuner: a run for each trial below one for the search, with its hyperparameters and its score.

    from tracker_integrations.keras_tuner import attach

    tuner = keras_tuner.RandomSearch(build, objective="val_loss", max_trials=10)
    attach(tuner, experiment="digits")
    tuner.search(x, y, epochs=5, validation_data=valid)

Read in KerasTuner 1.4.8. The run of a trial is active while it trains: a ``TrackerCallback`` of tracker_keras among
the callbacks of ``search``, which KerasTuner copies for each execution, records into it. Without one, the epochs come
from the histories that the executions return.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from os import PathLike
from typing import Any

import tracker
from tracker_integrations.needed import needed

with needed("keras_tuner", "keras-tuner"):
    import keras_tuner
    from keras_tuner.src.engine.tuner_utils import convert_to_metrics_dict

SCORE = "score"
"""The step metric that holds what the search judges a trial by."""


def attach(
    tuner: keras_tuner.Tuner,
    experiment: str | None = None,
    *,
    tags: Mapping[str, Any] | Iterable[str] | None = None,
    database: str | PathLike[str] | None = None,
    strict: bool = False,
) -> None:
    """Record the trials that ``tuner.search`` runs from now on.

    Args:
        tuner: its ``search`` and its ``run_trial`` are replaced by ones that record.
        experiment: what groups the runs; by default the name of the tuner's project.
        tags, database, strict: as for `tracker.start_run`.
    """
    options = {
        "experiment": experiment or tuner.project_name,
        "tags": tags,
        "database": database,
        "strict": strict,
    }
    tuner.search = partial(_search, tuner, options)


def _search(tuner: keras_tuner.Tuner, options: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    oracle = tuner.oracle
    with tracker.start_run(**options) as run:
        run.capture(
            keras_tuner={
                "version": keras_tuner.__version__,
                "oracle": type(oracle).__name__,
                "objective": oracle.objective.name,
                "max_trials": oracle.max_trials,
            }
        )
        run.define_metric(SCORE, oracle.objective.direction, monitor=True)
        tuner.run_trial = partial(_run_trial, tuner, options, run)
        try:
            found = type(tuner).search(tuner, *args, **kwargs)
        finally:
            del tuner.run_trial
            _tell_trials(run, tuner)
        return found


def _run_trial(
    tuner: keras_tuner.Tuner,
    options: Mapping[str, Any],
    parent: tracker.Run,
    trial: Any,
    *args: Any,
    **kwargs: Any,
) -> Any:
    name = f"{parent.name}-trial-{trial.trial_id}"
    values = dict(trial.hyperparameters.values)
    with tracker.start_run(**{**options, "name": name}, params=values, parent=parent) as run:
        objective = tuner.oracle.objective
        run.define_metric(SCORE, objective.direction, monitor=True)
        results = type(tuner).run_trial(tuner, trial, *args, **kwargs)
        if run.trained.last_epoch is None:
            _log_histories(run, results)
        metrics = convert_to_metrics_dict(results, objective)
        run.log({SCORE: metrics[objective.name]}, step=0)
    return results


def _log_histories(run: tracker.Run, results: Any) -> None:
    """Record the epochs of the execution that trained last; of several, the others are in the score."""
    several = results if isinstance(results, list) else [results]
    history = getattr(several[-1], "history", None) if several else None
    if not isinstance(history, Mapping):
        return
    count = max(map(len, history.values()), default=0)
    for epoch in range(count):
        run.log_epoch(
            epoch, {name: values[epoch] for name, values in history.items() if epoch < len(values)}
        )


def _tell_trials(run: tracker.Run, tuner: keras_tuner.Tuner) -> None:
    """Record the scores of the search, in the order of its trials, and the best of them."""
    oracle = tuner.oracle
    for number, trial_id in enumerate(oracle.start_order):
        score = oracle.trials[trial_id].score
        if score is not None:
            run.log({SCORE: score}, step=number)
    best = oracle.get_best_trials(1)
    if best and best[0].score is not None:
        run.capture(
            best={
                "trial": best[0].trial_id,
                "score": best[0].score,
                "hyperparameters": best[0].hyperparameters.values,
            }
        )
