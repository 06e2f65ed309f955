"""scikit-learn: epochs of ``partial_fit``, candidates of a search, and the curve that an estimator kept.

    from tracker_integrations.sklearn import partial_fit, record

    search = GridSearchCV(SVC(), {"C": [1, 10]}).fit(x, y)
    record(search, experiment="digits")

    partial_fit(SGDClassifier(), x, y, epochs=20, validation=(x_valid, y_valid), experiment="digits")

Read in scikit-learn 1.9.1, whose estimators call nobody while they train: what they did is read from them
afterwards, or they are trained epoch by epoch here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any, cast

import tracker
from tracker.policies import EarlyStopping
from tracker_integrations.needed import needed
from tracker_integrations.recording import Recording, Start

with needed("sklearn", "scikit-learn"):
    import sklearn
    from sklearn.base import BaseEstimator
    from sklearn.utils.multiclass import unique_labels
    from sklearn.utils.validation import check_is_fitted

_CURVES = {
    "loss_curve_": "loss",
    "validation_scores_": "validation_score",
    "train_score_": "train_score",
    "validation_score_": "validation_score",
    "oob_scores_": "oob_score",
}
"""The attributes in which estimators keep one number per iteration, and what it is called here."""


def partial_fit(
    estimator: Any,
    x: Any,
    y: Any,
    *,
    epochs: int,
    classes: Any = None,
    validation: tuple[Any, Any] | None = None,
    score: Callable[[Any, Any, Any], float] | None = None,
    early_stopping: EarlyStopping | None = None,
    **start: Any,
) -> Any:
    """Train an estimator epoch by epoch, and record each of them.

    Args:
        estimator: one with a ``partial_fit``; it is trained in place.
        x, y: the training data: a whole of it is an epoch.
        epochs: at most how many epochs.
        classes: of a classifier; those in ``y`` by default.
        validation: data and targets of which ``val_score`` is taken after each epoch.
        score: called with the estimator, data and targets; ``estimator.score`` by default.
        early_stopping: a rule that ends the training, such as ``tracker.policies.EarlyStopping("val_score",
            mode="max", patience=3)``; each of its verdicts is a decision.
        **start: as for `tracker.start_run`, and ``run``, one to record into. A run with ``resume=`` counts on.

    Returns:
        The estimator.
    """
    measure = score or (lambda fitted, data, targets: fitted.score(data, targets))
    recording = Recording("partial_fit", cast(Start, start))
    run = recording.begin()
    try:
        _tell_estimator(recording, estimator)
        stopper = None if early_stopping is None else _Stopper(recording, early_stopping)
        arguments: dict[str, Any] = {}
        if sklearn.base.is_classifier(estimator):
            arguments["classes"] = unique_labels(y) if classes is None else classes
        for epoch in range(run.first_epoch, epochs):
            estimator.partial_fit(x, y, **arguments)
            metrics = {"score": measure(estimator, x, y)}
            loss = getattr(estimator, "loss_", None)
            if isinstance(loss, (int, float)):
                metrics["loss"] = loss
            if validation is not None:
                metrics["val_score"] = measure(estimator, *validation)
            recording.log_epoch(epoch, metrics)
            if stopper is not None and stopper.stops(epoch, metrics):
                break
    except BaseException as error:
        recording.fail(error)
        raise
    recording.end()
    return estimator


class _Stopper:
    """A rule of early stopping, and its decisions."""

    def __init__(self, recording: Recording, rule: EarlyStopping) -> None:
        self._recording, self._rule = recording, rule
        self._policy = recording.policy(
            "EarlyStopping",
            "EarlyStopping",
            monitor=rule.monitor,
            config={**rule.as_dict(), "mode": rule.direction},
            rules=rule.rules,
        )
        saved = self._policy.saved_state
        self._state = type(rule.initial()).from_dict(saved) if saved else rule.initial()

    def stops(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Judge an epoch; say whether training ends with it."""
        self._state, verdict = self._rule.step(
            self._state, epoch, metrics.get(self._rule.monitor), metrics
        )
        self._recording.decide(
            self._policy,
            verdict.verdict,
            epoch=epoch,
            reason=verdict.reason,
            value=verdict.value,
            best=verdict.best,
            best_epoch=verdict.best_epoch,
            wait=verdict.wait,
            state=self._state.as_dict(),
        )
        if verdict.stop:
            self._recording.stop(verdict.reason)
        return verdict.stop


def record(fitted: BaseEstimator, **start: Any) -> tracker.Run:
    """Record an estimator, or a search over candidates, that has been fitted.

    A search is a run, with one below it for each candidate: its parameters, the mean and the deviation of its
    scores, each split's, and its times. Of an estimator it is the parameters, and what it kept of each iteration.

    Args:
        fitted: the estimator or the search.
        **start: as for `tracker.start_run`, and ``run``, one to record into.

    Returns:
        The run.

    Raises:
        sklearn.exceptions.NotFittedError: it has not been fitted. Nothing has been recorded then.
    """
    check_is_fitted(fitted)
    recording = Recording("record", cast(Start, start))
    run = recording.begin()
    _tell_estimator(recording, fitted)
    if hasattr(fitted, "cv_results_"):
        _tell_search(recording, run, fitted, start)
    else:
        _tell_curve(recording, fitted)
    recording.end()
    return run


def _tell_estimator(recording: Recording, estimator: Any) -> None:
    """Record the parameters of an estimator, and what it is; those of a search stand with its candidates."""
    inner = getattr(estimator, "estimator", None)
    recording.log_params(estimator.get_params(deep=inner is None))
    recording.capture(
        sklearn={"version": sklearn.__version__, "estimator": type(estimator).__name__}
    )


def _tell_curve(recording: Recording, fitted: Any) -> None:
    curves = dict(_curves(fitted))
    for epoch in range(max(map(len, curves.values()), default=0)):
        metrics = {name: curve[epoch] for name, curve in curves.items() if epoch < len(curve)}
        recording.log_epoch(epoch, metrics)
    patience = getattr(fitted, "n_iter_no_change", None)
    for done_by, asked_by in (("n_iter_", "max_iter"), ("n_estimators_", "n_estimators")):
        done, asked = getattr(fitted, done_by, None), getattr(fitted, asked_by, None)
        if isinstance(done, Integral) and isinstance(asked, Integral) and done < asked and patience:
            recording.stop(
                f"it converged after {done} of {asked} iterations: no improvement of more than "
                f"tol {fitted.tol:g} in {patience}"
            )


def _curves(fitted: Any) -> Iterator[tuple[str, Sequence[float]]]:
    for attribute, name in _CURVES.items():
        curve = getattr(fitted, attribute, None)
        if curve is not None and not isinstance(curve, (int, float)) and len(curve):
            yield name, list(curve)


def _tell_search(
    recording: Recording, run: tracker.Run, search: Any, start: Mapping[str, Any]
) -> None:
    results = search.cv_results_
    numbers = [
        name for name in results if name.startswith(("mean_", "std_", "split", "rank_", "iter", "n_resources"))
    ]  # fmt: skip
    scores = [name for name in numbers if name.startswith("mean_test_")]
    options: dict[str, Any] = {
        name: start.get(name) for name in ("database", "strict") if name in start
    }
    for number, params in enumerate(results["params"]):
        with tracker.start_run(
            experiment=run.experiment, name=f"{run.name}-candidate-{number}", parent=run, **options
        ) as candidate:
            candidate.log_params({name: _plain(value) for name, value in params.items()})
            for name in scores:
                candidate.define_metric(name, "max", monitor=name == scores[0])
            found = {name: results[name][number] for name in numbers}
            candidate.log(recording.numbers(found), step=0)
            if all(math.isnan(found[name]) for name in scores):
                candidate.finish(
                    "failed", "it has no score: each of its fits failed, or its scoring"
                )
    for number in range(len(results["params"])):
        recording.log({name: results[name][number] for name in scores}, number)
    if hasattr(search, "best_index_"):
        recording.capture(
            best={
                "candidate": int(search.best_index_),
                "score": float(getattr(search, "best_score_", "nan")),
                "params": {name: repr(value) for name, value in search.best_params_.items()},
            }
        )


def _plain(value: Any) -> Any:
    """Return a candidate's parameter as it can be kept; an estimator by its text."""
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)
