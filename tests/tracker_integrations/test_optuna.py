"""Optuna: what is recorded of a study is what the study itself says."""

from __future__ import annotations

import math
import pickle
import statistics
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.integrations import captured, children_of, points, run_named

optuna = pytest.importorskip("optuna")
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.linear_model import SGDClassifier  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

from tracker_integrations.optuna import (  # noqa: E402
    REPORTED,
    RecordedPruner,
    TrackerCallback,
    attach,
)

optuna.logging.set_verbosity(optuna.logging.WARNING)
STEPS = 6


def train(trial: Any) -> float:
    """Train a linear model on digits, and give up where the pruner says so."""
    x, x_valid, y, y_valid = train_test_split(*load_digits(return_X_y=True), random_state=0)
    model = SGDClassifier(alpha=trial.suggest_float("alpha", 1e-6, 1e4, log=True), random_state=0)
    for step in range(STEPS):
        model.partial_fit(x / 16, y, classes=range(10))
        trial.report(model.score(x_valid / 16, y_valid), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(model.score(x_valid / 16, y_valid))


def objective(trial: Any) -> float:
    """Report a curve that has no model behind it."""
    alpha = trial.suggest_float("alpha", 0, 1)
    trial.suggest_categorical("kind", ["a", None])
    for step in range(STEPS):
        trial.report(alpha * (step + 1) + 0.3 * math.sin(7 * alpha + step), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(alpha * STEPS)


def study(**options: Any) -> Any:
    options.setdefault("pruner", optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1))
    return optuna.create_study(
        study_name="digits",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=1),
        **options,
    )


def compare(made: Any) -> None:
    """Compare each trial of a study with its run."""
    runs = tracker.runs().set_index("name")
    words = {"COMPLETE": "finished", "PRUNED": "stopped_early", "FAIL": "failed"}
    for trial in made.trials:
        name = f"{made.study_name}-trial-{trial.number}"
        row = runs.loc[name]
        assert row["status"] == words[trial.state.name], name
        assert row["params.alpha"] == trial.params["alpha"]
        found = points(name)
        assert found.get(REPORTED, {}) == trial.intermediate_values
        value = list(found.get("value", {}).values())
        assert value == ([trial.value] if trial.state.name == "COMPLETE" else [])


def test_each_trial_is_a_run_below_the_study_s() -> None:
    made = study()
    attach(made, experiment="tuning")
    made.optimize(train, n_trials=9)
    assert {trial.state.name for trial in made.trials} == {"COMPLETE", "PRUNED"}
    compare(made)
    assert run_named("digits")["status"] == "finished"
    assert set(tracker.runs()["experiment"]) == {"tuning"}
    assert children_of("digits") == {f"digits-trial-{trial.number}" for trial in made.trials}
    assert points("digits")["best_value"][8] == made.best_value
    assert captured("digits")["optuna"]["best_params"] == made.best_params


def test_what_the_pruner_said_is_a_decision_each() -> None:
    made = study()
    attach(made)
    made.optimize(objective, n_trials=9)
    pruned = [trial for trial in made.trials if trial.state.name == "PRUNED"]
    for trial in made.trials:
        name = f"digits-trial-{trial.number}"
        told = tracker.decisions(name)
        assert told["epoch"].tolist() == sorted(trial.intermediate_values)
        assert told["value"].tolist() == list(trial.intermediate_values.values())
        assert set(told["policy"]) == {"MedianPruner"}
        assert (told["verdict"].iloc[-1] == "stopped") == (trial in pruned)
        assert (told["verdict"] == "stopped").sum() == (trial in pruned)
    name = f"digits-trial-{pruned[0].number}"
    reason = tracker.runs().set_index("name").loc[name, "reason"]
    assert reason == tracker.decisions(name)["reason"].iloc[-1]
    assert f"MedianPruner pruned trial {pruned[0].number} at step" in reason
    step, complete = (
        pruned[0].last_step,
        [trial for trial in made.trials if trial.state.name == "COMPLETE"],
    )
    others = [
        trial.intermediate_values[step] for trial in complete if trial.number < pruned[0].number
    ]
    told = f"of {len(others)} complete trials there the median is {statistics.median(others):.4g}"
    assert reason.endswith(told)


def test_the_first_trial_is_pruned_with_a_reason_though_there_is_none_to_compare_with() -> None:
    made = study(pruner=optuna.pruners.ThresholdPruner(lower=100.0))
    attach(made)
    made.optimize(objective, n_trials=1)
    reason = run_named("digits-trial-0")["reason"]
    value = made.trials[0].intermediate_values[0]
    assert reason == f"ThresholdPruner pruned trial 0 at step 0, where it reported {value:.4g}"


def test_the_wrapped_pruner_decides_as_it_does_alone() -> None:
    for pruner in (
        optuna.pruners.MedianPruner(n_startup_trials=2),
        optuna.pruners.HyperbandPruner(min_resource=1, max_resource=STEPS, reduction_factor=2),
        optuna.pruners.SuccessiveHalvingPruner(),
        optuna.pruners.PatientPruner(optuna.pruners.NopPruner(), patience=1),
    ):
        alone, recorded = (
            study(pruner=pickle.loads(pickle.dumps(pruner))),
            study(pruner=pickle.loads(pickle.dumps(pruner))),
        )
        attach(recorded)
        for made in (alone, recorded):
            made.optimize(objective, n_trials=6)
        assert [(t.state, t.params, t.intermediate_values) for t in alone.trials] == [
            (t.state, t.params, t.intermediate_values) for t in recorded.trials
        ]


def test_a_callback_alone_records_trials_once_they_have_ended() -> None:
    made = study()
    made.optimize(objective, n_trials=5, callbacks=[TrackerCallback()])
    compare(made)
    assert len(tracker.runs()) == 5


def test_a_callback_and_the_pruner_together_keep_what_was_said() -> None:
    made = study(pruner=RecordedPruner(optuna.pruners.MedianPruner(n_startup_trials=2)))
    with tracker.start_run("mine", name="outer"):
        made.optimize(objective, n_trials=5, callbacks=[TrackerCallback()])
    compare(made)
    assert children_of("outer") == {f"digits-trial-{number}" for number in range(5)}
    for trial in made.trials:
        assert len(tracker.decisions(f"digits-trial-{trial.number}")) == len(
            trial.intermediate_values
        )


def test_a_training_in_the_objective_is_the_trial_s() -> None:
    def log(trial: Any) -> float:
        run = tracker.active_run()
        assert run is not None
        run.log_epoch(0, {"val_loss": trial.suggest_float("alpha", 0, 1)})
        return trial.params["alpha"]

    made = study()
    attach(made)
    made.optimize(log, n_trials=2)
    for trial in made.trials:
        assert tracker.epochs(f"digits-trial-{trial.number}")["val_loss"].tolist() == [trial.value]


def test_a_trial_that_raises_has_failed_with_its_error() -> None:
    def fail(trial: Any) -> float:
        trial.suggest_float("alpha", 0, 1)
        raise ValueError("no such layer")

    made = study()
    attach(made)
    made.optimize(fail, n_trials=1, catch=(ValueError,))
    with pytest.raises(ValueError, match="no such layer"):
        made.optimize(fail, n_trials=1)
    compare(made)
    runs = tracker.runs().set_index("name")
    assert runs.loc["digits-trial-0", "reason"] == "training raised ValueError"
    assert runs.loc["digits", "status"] == "failed"


def test_what_optuna_refuses_has_failed() -> None:
    def fail(trial: Any) -> float:
        trial.suggest_float("alpha", 0, 1)
        return math.nan

    made = study()
    attach(made)
    made.optimize(fail, n_trials=1)
    compare(made)


def test_a_study_that_goes_on_goes_on_in_its_run(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    made = study(storage=storage)
    attach(made)
    made.optimize(objective, n_trials=2)
    again = study(storage=storage, load_if_exists=True)
    attach(again)
    again.optimize(objective, n_trials=2)
    compare(again)
    runs = tracker.runs()
    assert (runs["name"] == "digits").sum() == 1
    assert len(runs) == 5


def test_several_objectives_have_a_metric_each() -> None:
    made = optuna.create_study(study_name="two", directions=["minimize", "maximize"])
    made.set_metric_names(["loss", "accuracy"])
    attach(made)
    made.optimize(lambda trial: (trial.suggest_float("a", 0, 1), 0.5), n_trials=2)
    for trial in made.trials:
        found = points(f"two-trial-{trial.number}")
        assert found == {"loss": {0: trial.values[0]}, "accuracy": {0: trial.values[1]}}


def test_trials_in_threads_have_a_run_each() -> None:
    made = study()
    attach(made)
    made.optimize(objective, n_trials=6, n_jobs=2)
    compare(made)


def test_a_study_that_is_recorded_can_be_pickled() -> None:
    made = study()
    attach(made)
    made.optimize(objective, n_trials=1)
    again = pickle.loads(pickle.dumps(made))
    again.optimize(objective, n_trials=1)
    compare(again)
