"""scikit-learn: what is recorded is what its estimators and searches say afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracker
from tests.helpers.integrations import captured, children_of, epochs, points, run_named

pytest.importorskip("sklearn")
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.tree import DecisionTreeClassifier

from tracker_integrations.sklearn import partial_fit, record

DATA, TARGET = load_breast_cancer(return_X_y=True)
X, X_VALID, Y, Y_VALID = train_test_split(scale(DATA), TARGET, random_state=0)
VALID = (X_VALID, Y_VALID)


def test_each_epoch_of_partial_fit_is_recorded() -> None:
    expected = []
    alone = SGDClassifier(random_state=0)
    for _ in range(4):
        alone.partial_fit(X, Y, classes=[0, 1])
        expected.append((alone.score(X, Y), alone.score(*VALID)))
    made = SGDClassifier(random_state=0)
    assert partial_fit(made, X, Y, epochs=4, validation=VALID, experiment="cancer") is made
    assert np.array_equal(made.coef_, alone.coef_)
    found = epochs()
    assert found == {
        "score": [one for one, _ in expected],
        "val_score": [two for _, two in expected],
    }
    row = run_named()
    assert (row["name"], row["status"]) == ("cancer-1", "finished")
    assert row["params.penalty"] == "l2"
    assert captured()["sklearn"]["estimator"] == "SGDClassifier"


def test_a_rule_ends_it_and_its_verdicts_are_decisions() -> None:
    scores = iter([0.1, 0.9, 0.5, 0.6, 0.7, 0.8])
    rule = tracker.policies.EarlyStopping("score", mode="max", patience=2)
    partial_fit(SGDRegressor(), X, Y, epochs=6, score=lambda *_: next(scores), early_stopping=rule)
    told = tracker.decisions(run_named()["id"])
    assert told["verdict"].tolist() == ["improved", "improved", "waited", "stopped"]
    row = run_named()
    assert (row["status"], row["reason"]) == ("stopped_early", told["reason"].iloc[-1])
    outcome = tracker.replay(row["id"]).iloc[0]
    assert (outcome["stop_epoch"], outcome["best_epoch"]) == (3, 1)


def test_a_training_that_raises_has_failed() -> None:
    with pytest.raises(ValueError, match="inconsistent"):
        partial_fit(SGDRegressor(), X, Y[:-1], epochs=2)
    assert run_named()["status"] == "failed"


def test_a_run_that_is_resumed_counts_on() -> None:
    made = SGDClassifier(random_state=0)
    partial_fit(made, X, Y, epochs=2, experiment="cancer")
    partial_fit(made, X, Y, epochs=3, experiment="cancer", resume="cancer-1")
    frame = tracker.epochs("cancer-1")
    assert frame["epoch"].tolist() == [0, 1, 2]
    assert frame["attempt"].tolist() == [1, 1, 2]


def test_each_candidate_of_a_search_is_a_run() -> None:
    search = GridSearchCV(
        DecisionTreeClassifier(random_state=0),
        {"max_depth": [1, 3], "criterion": ["gini", "entropy"]},
        cv=3,
        return_train_score=True,
    ).fit(X, Y)
    record(search, experiment="cancer")
    assert children_of("cancer-1") == {f"cancer-1-candidate-{number}" for number in range(4)}
    results = search.cv_results_
    for number, params in enumerate(results["params"]):
        name = f"cancer-1-candidate-{number}"
        row, found = run_named(name), points(name)
        for param, value in params.items():
            assert row[f"params.{param}"] == value
        for metric in ("mean_test_score", "std_test_score", "split0_test_score", "mean_fit_time",
                       "rank_test_score", "mean_train_score"):  # fmt: skip
            assert found[metric] == {0: results[metric][number]}
    assert captured("cancer-1")["best"]["candidate"] == search.best_index_
    assert captured("cancer-1")["best"]["score"] == search.best_score_
    scores = dict(enumerate(results["mean_test_score"]))
    assert points("cancer-1")["mean_test_score"] == scores


def test_candidates_that_are_estimators_are_kept_as_text() -> None:
    pipeline = make_pipeline(StandardScaler(), DecisionTreeClassifier())
    search = GridSearchCV(pipeline, {"standardscaler": [StandardScaler(), "passthrough"]}, cv=2)
    record(search.fit(X, Y), experiment="cancer")
    row = run_named("cancer-1-candidate-0")
    assert row["params.standardscaler"] == "StandardScaler()"


@pytest.mark.parametrize("early", [False, True])
def test_what_an_estimator_kept_of_each_iteration_are_epochs(early: bool) -> None:
    made = MLPClassifier((8,), max_iter=200, early_stopping=early, n_iter_no_change=3, tol=0.01,
                         random_state=0).fit(X, Y)  # fmt: skip
    record(made, experiment="cancer")
    found = epochs()
    assert found["loss"] == made.loss_curve_
    assert ("validation_score" in found) == early
    if early:
        assert found["validation_score"] == made.validation_scores_
    row = run_named()
    assert row["status"] == "stopped_early"
    assert row["reason"].startswith(f"it converged after {made.n_iter_} of 200 iterations")


def test_the_scores_of_boosted_trees_are_epochs() -> None:
    made = GradientBoostingClassifier(n_estimators=5, max_depth=1).fit(X, Y)
    run: Any = record(made)
    assert epochs()["train_score"] == list(made.train_score_)
    assert run.status == "finished"


def test_labels_of_several_kinds_are_taken_and_an_error_ends_the_run() -> None:
    several = np.eye(2)[Y].astype(int)
    for labels in (several, Y.astype(str), list(Y)):
        partial_fit(MLPClassifier((4,)), X, labels, epochs=1)
    assert tracker.runs()["status"].tolist() == ["finished"] * 3
    with pytest.raises(AttributeError):
        partial_fit(LogisticRegression(), X, Y, epochs=1)
    assert tracker.runs()["status"].iloc[0] == "failed"


def test_an_estimator_of_trees_that_stopped_early_says_so() -> None:
    made = GradientBoostingClassifier(n_estimators=20, max_depth=1, n_iter_no_change=2, tol=9.0)
    record(made.fit(X[:100], Y[:100]))
    row = run_named()
    assert (row["status"], row["epochs"]) == ("stopped_early", made.n_estimators_)
    assert row["reason"].startswith(f"it converged after {made.n_estimators_} of 20 iterations")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_candidate_whose_fits_failed_has_failed() -> None:
    search = GridSearchCV(SGDClassifier(), {"alpha": [-1.0, 1e-3]}, cv=2).fit(X, Y)
    run = record(search)
    frame = tracker.runs().set_index("name")["status"]
    assert frame[f"{run.name}-candidate-0"] == "failed"
    assert frame[f"{run.name}-candidate-1"] == "finished"


def test_what_is_not_fitted_is_refused_and_leaves_no_run() -> None:
    for made in (LogisticRegression(), GridSearchCV(LogisticRegression(), {"C": [1.0]})):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            record(made)
    assert tracker.runs().empty
