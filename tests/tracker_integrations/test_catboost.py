"""CatBoost: what is recorded is what it evaluates, and why it stops."""

from __future__ import annotations

from typing import Any

import pytest

import tracker
from tests.helpers.integrations import epochs, points, run_named

catboost = pytest.importorskip("catboost")
from sklearn.datasets import load_breast_cancer  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

from tracker_integrations.catboost import attach  # noqa: E402

X, X_VALID, Y, Y_VALID = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)


def model(**options: Any) -> Any:
    return catboost.CatBoostClassifier(
        **{
            "iterations": 60, "learning_rate": 0.5, "depth": 2, "thread_count": 1,
            "allow_writing_files": False, "verbose": False, "random_seed": 0,
            "custom_metric": ["Accuracy"], **options,
        }
    )  # fmt: skip


def compare(made: Any) -> None:
    """Compare what CatBoost evaluated with the step metrics that are recorded."""
    assert points() == {
        f"{data}_{metric}": dict(enumerate(values))
        for data, metrics in made.get_evals_result().items()
        for metric, values in metrics.items()
    }


def test_each_iteration_is_recorded() -> None:
    made = model(iterations=5)
    attach(made, experiment="cancer")
    made.fit(X, Y)
    compare(made)
    row = run_named()
    assert (row["name"], row["status"]) == ("cancer-1", "finished")
    assert row["params.depth"] == 2


def test_the_overfitting_detector_is_told() -> None:
    made = model()
    attach(made)
    made.fit(X, Y, eval_set=(X_VALID, Y_VALID), early_stopping_rounds=4)
    compare(made)
    last = len(made.get_evals_result()["validation"]["Logloss"]) - 1
    assert last < 59
    stop, restored = tracker.decisions(run_named()["id"]).to_dict("records")
    assert (stop["policy"], stop["verdict"]) == ("EarlyStopping", "stopped")
    assert (stop["epoch"], stop["best_epoch"]) == (last, made.get_best_iteration())
    assert stop["best"] == made.get_best_score()["validation"]["Logloss"]
    assert restored["verdict"] == "restored"
    assert restored["best_epoch"] == made.tree_count_ - 1
    row = run_named()
    assert (row["status"], row["reason"]) == ("stopped_early", stop["reason"])
    assert row["reason"].endswith("4 of 4 waits")


def test_a_metric_of_which_more_is_better() -> None:
    made = model(eval_metric="AUC", use_best_model=False)
    attach(made)
    made.fit(X, Y, eval_set=(X_VALID, Y_VALID), early_stopping_rounds=4)
    (stop,) = tracker.decisions(run_named()["id"]).to_dict("records")
    assert stop["monitor"] == "validation_AUC"
    assert stop["best"] == made.get_best_score()["validation"]["AUC"]


def test_a_callback_that_stops_it_does_so() -> None:
    class Stop:
        def after_iteration(self, info: Any) -> bool:
            return bool(info.iteration < 3)

    made = model()
    attach(made)
    made.fit(X, Y, callbacks=[Stop()])
    compare(made)
    row = run_named()
    assert row["status"] == "stopped_early"
    assert row["reason"] == "a callback ended training after 3 of 60 iterations"


def test_iterations_as_epochs_are_replayed() -> None:
    made = model()
    attach(made, epochs=True)
    made.fit(X, Y, eval_set=(X_VALID, Y_VALID), early_stopping_rounds=4)
    found = made.get_evals_result()["validation"]["Logloss"]
    assert epochs()["validation_Logloss"] == found
    assert tracker.replay(run_named()["id"]).iloc[0]["stop_epoch"] == len(found) - 1


def test_a_training_that_raises_has_failed() -> None:
    made = model()
    attach(made)
    with pytest.raises(catboost.CatBoostError):
        made.fit(X, Y[:-1])
    assert run_named()["status"] == "failed"


def test_a_second_fit_is_a_second_run_and_a_prediction_works() -> None:
    made = model(iterations=2)
    attach(made, experiment="cancer")
    assert made.fit(X, Y) is made
    made.fit(X, Y)
    assert made.predict(X).shape == Y.shape
    assert sorted(tracker.runs()["name"]) == ["cancer-1", "cancer-2"]


def test_a_last_iteration_that_is_the_best_beat_the_one_before() -> None:
    made = model(iterations=4)
    attach(made)
    made.fit(X, Y, eval_set=(X_VALID, Y_VALID), early_stopping_rounds=9)
    values = made.get_evals_result()["validation"]["Logloss"]
    assert min(values) == values[-1]
    last = tracker.decisions(run_named()["id"]).iloc[-1]
    assert (last["verdict"], last["best_epoch"]) == ("improved", 3)
    assert last["reason"].endswith("(epoch 2)")


def test_a_detector_that_is_off_decides_nothing() -> None:
    made = model(iterations=40)
    attach(made)
    made.fit(X, Y, eval_set=(X_VALID, Y_VALID))
    assert "waited" not in set(tracker.decisions(run_named()["id"])["verdict"])
