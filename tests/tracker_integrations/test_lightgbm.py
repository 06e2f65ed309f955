"""LightGBM: what is recorded is what it evaluates, and why it stops."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import tracker
from tests.helpers.integrations import epochs, points, run_named

lightgbm = pytest.importorskip("lightgbm")
from sklearn.datasets import load_breast_cancer  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

from tracker_integrations.lightgbm import TrackerCallback  # noqa: E402

X, X_VALID, Y, Y_VALID = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)
PARAMS = {
    "objective": "binary", "metric": ["binary_logloss", "auc"], "learning_rate": 0.5,
    "num_leaves": 4, "num_threads": 1, "verbose": -1, "seed": 0,
}  # fmt: skip


def train(*callbacks: Any, rounds: int = 60, **options: Any) -> tuple[Any, dict[str, Any]]:
    data = lightgbm.Dataset(X, Y)
    valid = lightgbm.Dataset(X_VALID, Y_VALID, reference=data)
    result: dict[str, Any] = {}
    model = lightgbm.train(
        {**PARAMS, **options}, data, rounds, valid_sets=[data, valid],
        valid_names=["train", "valid"],
        callbacks=[lightgbm.record_evaluation(result), *callbacks],
    )  # fmt: skip
    return model, result


def compare(result: dict[str, Any]) -> None:
    """Compare what LightGBM evaluated with the step metrics that are recorded."""
    found = points()
    assert set(found.pop("learning_rate").values()) == {0.5}
    assert found == {
        f"{data}_{metric}": dict(enumerate(values))
        for data, metrics in result.items()
        for metric, values in metrics.items()
    }


def test_each_round_is_recorded() -> None:
    _, result = train(TrackerCallback("cancer"), rounds=5)
    compare(result)
    row = run_named()
    assert row["status"] == "finished"
    assert row["params.num_leaves"] == 4
    assert row["params.num_boost_round"] == 5


@pytest.mark.parametrize("where", ["before", "after", "parameter"])
@pytest.mark.parametrize("first_only", [True, False])
def test_early_stopping_is_told_wherever_it_stands(where: str, first_only: bool) -> None:
    if where == "parameter":
        model, result = train(
            TrackerCallback(), early_stopping_round=4, first_metric_only=first_only
        )
    else:
        stopper = lightgbm.early_stopping(4, first_metric_only=first_only, verbose=False)
        ours = TrackerCallback()
        model, result = train(*((stopper, ours) if where == "before" else (ours, stopper)))
    compare(result)
    last = len(result["valid"]["auc"]) - 1
    assert last < 59
    told = tracker.decisions(run_named()["id"])
    (stop,) = told[told["verdict"] == "stopped"].to_dict("records")
    assert stop["monitor"] in ("valid_binary_logloss", "valid_auc")
    assert (stop["epoch"], stop["best_epoch"], stop["wait"]) == (last, model.best_iteration - 1, 4)
    metric = stop["monitor"].removeprefix("valid_")
    assert stop["best"] == result["valid"][metric][model.best_iteration - 1]
    row = run_named()
    assert (row["status"], row["reason"]) == ("stopped_early", stop["reason"])


def test_a_training_that_was_not_stopped_says_how_far_it_was() -> None:
    train(lightgbm.early_stopping(50, verbose=False), TrackerCallback(), rounds=10)
    assert set(tracker.decisions(run_named()["id"])["verdict"]) <= {"waited", "improved"}
    assert run_named()["status"] == "finished"


def test_rounds_as_epochs_are_decided_each_and_replayed() -> None:
    stopper = lightgbm.early_stopping(4, first_metric_only=True, verbose=False, min_delta=0.002)
    model, result = train(stopper, TrackerCallback(epochs=True))
    losses = result["valid"]["binary_logloss"]
    assert epochs()["valid_binary_logloss"] == losses
    told = tracker.decisions(run_named()["id"])
    assert told["value"].tolist() == losses
    assert told["verdict"].iloc[-1] == "stopped"
    outcome = tracker.replay(run_named()["id"]).iloc[0]
    assert outcome["stop_epoch"] == len(losses) - 1
    assert outcome["best_epoch"] == model.best_iteration - 1


def test_a_cross_validation_has_a_mean_and_a_deviation() -> None:
    result = lightgbm.cv(
        PARAMS, lightgbm.Dataset(X, Y), 30, nfold=3, seed=0,
        callbacks=[lightgbm.early_stopping(3, verbose=False), TrackerCallback()],
    )  # fmt: skip
    found = points()
    for kind, ending in (("mean", ""), ("stdv", "_std")):
        kept = list(found[f"valid_auc{ending}"].values())
        expected = result[f"valid auc-{kind}"]
        assert kept[: len(expected)] == pytest.approx(expected)
    assert run_named()["status"] == "stopped_early"


def test_a_rate_that_is_scheduled_is_recorded() -> None:
    train(lightgbm.reset_parameter(learning_rate=[0.5, 0.25, 0.125]), TrackerCallback(), rounds=3)
    assert points()["learning_rate"] == {0: 0.5, 1: 0.25, 2: 0.125}


def test_an_estimator_records_each_fit_in_a_run() -> None:
    estimator = lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1)
    callback = TrackerCallback("cancer")
    for _ in range(2):
        estimator.fit(X, Y, eval_set=[(X_VALID, Y_VALID)], callbacks=[callback])
    assert sorted(tracker.runs()["name"]) == ["cancer-1", "cancer-2"]
    kept = points("cancer-2")["valid_0_binary_logloss"]
    assert list(kept.values()) == estimator.evals_result_["valid_0"]["binary_logloss"]
    pickle.dumps(callback)


def test_a_training_that_raised_is_closed_by_the_next() -> None:
    def fail(env: Any) -> None:
        raise ValueError("no such layer")

    with pytest.raises(ValueError, match="no such layer"):
        train(TrackerCallback("cancer"), fail)
    train(TrackerCallback("cancer"), rounds=2)
    statuses = tracker.runs().set_index("name")["status"].to_dict()
    assert statuses["cancer-2"] == "finished"
