"""XGBoost: what is recorded is what it evaluates, and why it stops."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.integrations import epochs, points, run_named

xgboost = pytest.importorskip("xgboost")
from sklearn.datasets import load_breast_cancer  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

from tracker_integrations.xgboost import TrackerCallback  # noqa: E402

X, X_VALID, Y, Y_VALID = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)
PARAMS = {
    "objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "eta": 0.5, "nthread": 1,
    "max_depth": 2,
}  # fmt: skip


def train(*callbacks: Any, rounds: int = 60, **options: Any) -> tuple[Any, dict[str, Any]]:
    data, valid = xgboost.DMatrix(X, Y), xgboost.DMatrix(X_VALID, Y_VALID)
    result: dict[str, Any] = {}
    model = xgboost.train(
        PARAMS, data, rounds, evals=[(data, "train"), (valid, "valid")], evals_result=result,
        callbacks=list(callbacks), verbose_eval=False, **options,
    )  # fmt: skip
    return model, result


def compare(result: dict[str, Any], first: int = 0) -> None:
    """Compare what XGBoost evaluated with the step metrics that are recorded."""
    expected = {
        f"{data}_{metric}": dict(enumerate(values, first))
        for data, metrics in result.items()
        for metric, values in metrics.items()
    }
    assert points() == expected


def test_each_round_is_recorded() -> None:
    _, result = train(TrackerCallback("cancer"), rounds=5)
    compare(result)
    row = run_named()
    assert row["status"] == "finished"
    assert row["params.eta"] == 0.5
    assert row["params.num_boost_round"] == 5
    assert tracker.decisions(row["id"]).empty


@pytest.mark.parametrize("where", ["before", "after", "argument"])
def test_early_stopping_is_told_wherever_it_stands(where: str) -> None:
    stopper = xgboost.callback.EarlyStopping(rounds=4, metric_name="logloss", data_name="valid")
    ours = TrackerCallback()
    if where == "argument":
        model, result = train(ours, early_stopping_rounds=4)
        monitor = "valid_auc"
    else:
        model, result = train(*((stopper, ours) if where == "before" else (ours, stopper)))
        monitor = "valid_logloss"
    compare(result)
    last = len(result["valid"]["logloss"]) - 1
    assert last < 59
    (told,) = tracker.decisions(run_named()["id"]).to_dict("records")
    assert (told["policy"], told["monitor"], told["verdict"]) == (
        "EarlyStopping",
        monitor,
        "stopped",
    )
    assert (told["epoch"], told["best_epoch"], told["wait"]) == (last, model.best_iteration, 4)
    assert told["best"] == pytest.approx(model.best_score)
    row = run_named()
    assert (row["status"], row["reason"]) == ("stopped_early", told["reason"])
    assert row["reason"].endswith("4 of 4 waits")


def test_a_training_that_was_not_stopped_says_how_far_it_was() -> None:
    train(TrackerCallback(), early_stopping_rounds=50, rounds=10)
    (told,) = tracker.decisions(run_named()["id"]).to_dict("records")
    assert told["verdict"] in ("waited", "improved")
    assert run_named()["status"] == "finished"


def test_rounds_as_epochs_are_decided_each_and_replayed() -> None:
    stopper = xgboost.callback.EarlyStopping(
        rounds=4, metric_name="logloss", data_name="valid", min_delta=0.002, save_best=True
    )
    model, result = train(stopper, TrackerCallback(epochs=True))
    assert epochs()["valid_logloss"] == result["valid"]["logloss"]
    told = tracker.decisions(run_named()["id"])
    assert told["verdict"].iloc[-2] == "stopped"
    assert len(told) == len(result["valid"]["logloss"]) + 1
    assert told["value"].tolist()[:-1] == pytest.approx(result["valid"]["logloss"])
    last = told.iloc[-1]
    assert last["verdict"] == "restored"
    assert last["best_epoch"] == model.num_boosted_rounds() - 1
    outcome = tracker.replay(run_named()["id"]).iloc[0]
    assert outcome["stop_epoch"] == len(result["valid"]["logloss"]) - 1
    assert outcome["best_epoch"] == last["best_epoch"]


def test_a_cross_validation_has_a_mean_and_a_deviation() -> None:
    frame = xgboost.cv(
        PARAMS, xgboost.DMatrix(X, Y), 30, nfold=3, early_stopping_rounds=3,
        callbacks=[TrackerCallback()], seed=0,
    )  # fmt: skip
    found = points()
    for kind, ending in (("mean", ""), ("std", "_std")):
        kept = list(found[f"test_auc{ending}"].values())
        assert kept[: len(frame)] == pytest.approx(frame[f"test-auc-{kind}"].tolist())
    assert run_named()["status"] == "stopped_early"
    assert tracker.decisions(run_named()["id"])["best_epoch"].tolist() == [len(frame) - 1]


def test_a_continued_model_counts_on() -> None:
    model, _ = train(rounds=5)
    _, result = train(TrackerCallback(), rounds=3, xgb_model=model)
    compare(result, first=5)


def test_an_estimator_records_each_fit_in_a_run() -> None:
    estimator = xgboost.XGBClassifier(
        n_estimators=5, max_depth=2, n_jobs=1, callbacks=[TrackerCallback("cancer")]
    )
    for _ in range(2):
        estimator.fit(X, Y, eval_set=[(X_VALID, Y_VALID)], verbose=False)
    assert sorted(tracker.runs()["name"]) == ["cancer-1", "cancer-2"]
    kept = points("cancer-2")["validation_0_logloss"]
    assert list(kept.values()) == estimator.evals_result()["validation_0"]["logloss"]
    pickle.dumps(estimator)
    # What is left to XGBoost is not a param.
    params = tracker.runs().filter(like="params.")
    assert params["params.max_depth"].tolist() == [2, 2]
    assert "params.max_bin" not in params


def test_files_of_its_checkpointing_are_registered(tmp_path: Path) -> None:
    saver = xgboost.callback.TrainingCheckPoint(tmp_path, name="model", interval=2)
    train(saver, TrackerCallback(), rounds=7)
    written = sorted(path.name for path in tmp_path.glob("model_*"))
    assert written
    frame = tracker.checkpoints(run_named()["id"])
    assert sorted(Path(path).name for path in frame["path"]) == written
    assert set(frame["state"]) == {"available"}


def test_a_training_that_raised_is_closed_by_the_next() -> None:
    class Fail(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            raise ValueError("no such layer")

    with pytest.raises(ValueError, match="no such layer"):
        train(TrackerCallback("cancer"), Fail())
    train(TrackerCallback("cancer"), rounds=2)
    statuses = tracker.runs().set_index("name")["status"].to_dict()
    assert statuses == {"cancer-1": "interrupted", "cancer-2": "finished"}
