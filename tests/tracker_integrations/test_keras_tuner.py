"""KerasTuner: what is recorded of a search is what its oracle says."""

from __future__ import annotations

from typing import Any

import pytest

import tracker
from tests.helpers.integrations import captured, children_of, epochs, points, run_named

keras_tuner = pytest.importorskip("keras_tuner")
import keras  # noqa: E402
from sklearn.datasets import load_wine  # noqa: E402
from sklearn.preprocessing import scale  # noqa: E402

from tracker_integrations.keras_tuner import SCORE, attach  # noqa: E402
from tracker_keras import TrackerCallback  # noqa: E402

DATA, Y = load_wine(return_X_y=True)
X = scale(DATA)


def build(hp: Any) -> Any:
    model = keras.Sequential([keras.Input((13,)), keras.layers.Dense(3, "softmax")])
    rate = hp.Choice("lr", [0.01, 0.1, 1.0])
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    return model


def tuner(**options: Any) -> Any:
    return keras_tuner.RandomSearch(
        build, objective="val_loss", max_trials=2, seed=1, directory="tuned",
        project_name="wine", **options,
    )  # fmt: skip


def search(made: Any, **options: Any) -> None:
    made.search(X, Y, epochs=2, validation_split=0.2, verbose=0, batch_size=64, **options)


def compare(made: Any) -> None:
    """Compare each trial of a search with its run."""
    assert children_of("wine-1") == {f"wine-1-trial-{trial}" for trial in made.oracle.trials}
    for trial_id, trial in made.oracle.trials.items():
        name = f"wine-1-trial-{trial_id}"
        row = run_named(name)
        assert row["status"] == "finished"
        assert row["params.lr"] == trial.hyperparameters.values["lr"]
        assert points(name)[SCORE][0] == pytest.approx(trial.score)
        found = epochs(name)
        assert len(found["val_loss"]) == 2
        assert min(found["val_loss"]) == pytest.approx(trial.score)


def test_each_trial_is_a_run_below_the_search_s() -> None:
    made = tuner()
    attach(made)
    search(made)
    compare(made)
    best = made.oracle.get_best_trials(1)[0]
    facts = captured("wine-1")
    assert facts["best"]["trial"] == best.trial_id
    assert facts["best"]["hyperparameters"]["lr"] == best.hyperparameters.values["lr"]
    scores = [made.oracle.trials[one].score for one in made.oracle.start_order]
    assert list(points("wine-1")[SCORE].values()) == scores


def test_a_callback_of_ours_records_into_the_trial_s_run() -> None:
    made = tuner()
    attach(made)
    search(made, callbacks=[TrackerCallback()])
    compare(made)
    assert len(tracker.runs()) == 3
    assert (tracker.epochs(run_named("wine-1-trial-0")["id"])["learning_rate"] > 0).all()


def test_several_executions_are_one_trial() -> None:
    made = tuner(executions_per_trial=2)
    attach(made)
    search(made)
    for trial_id, trial in made.oracle.trials.items():
        assert points(f"wine-1-trial-{trial_id}")[SCORE][0] == pytest.approx(trial.score)


def test_a_trial_that_raises_has_failed() -> None:
    made = tuner(max_consecutive_failed_trials=1)
    attach(made)
    with pytest.raises(RuntimeError, match="consecutive failures"):
        made.search()
    assert run_named("wine-1")["status"] == "failed"
    assert run_named("wine-1-trial-0")["status"] == "failed"
