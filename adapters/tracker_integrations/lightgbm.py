"""LightGBM: every round's evaluation, why early stopping ended it, and the best round.

    from tracker_integrations.lightgbm import TrackerCallback

    lightgbm.train(params, data, 500, valid_sets=[valid],
                   callbacks=[lightgbm.early_stopping(10), TrackerCallback(experiment="digits")])

Read in LightGBM 4.7.0. Its early stopping ends the training by an exception, which no other callback sees: ours has a
copy of it judge each round first, and records what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from typing import Any
from weakref import ref

import tracker
from tracker_integrations.boosting import Rounds
from tracker_integrations.caller import local
from tracker_integrations.judged import Seen
from tracker_integrations.needed import needed
from tracker_integrations.recording import Start

with needed("lightgbm", "lightgbm"):
    import lightgbm
    from lightgbm.callback import CallbackEnv, EarlyStopException, early_stopping

_STOPPING = type(early_stopping(1, verbose=False))
"""The class of LightGBM's early stopping, which is private."""


class TrackerCallback:
    """Record training or cross-validation by `lightgbm.train`, `lightgbm.cv` or an estimator.

    Args:
        experiment, name, params, tags, database, strict, run: as for `tracker.start_run`, and a run to record into.
        epochs: record each round as an epoch as well: it is durable then, every check of early stopping is a
            decision, and ``tracker replay`` tries other patiences; a round costs a transaction more.
    """

    order = 25
    """After those that look at the evaluation, before early stopping, which has 30."""
    before_iteration = False

    def __init__(
        self,
        experiment: str | None = None,
        name: str | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | Iterable[str] | None = None,
        database: str | PathLike[str] | None = None,
        strict: bool = False,
        run: tracker.Run | None = None,
        epochs: bool = False,
    ) -> None:
        self._start: Start = {
            "experiment": experiment, "name": name, "params": params, "tags": tags,
            "database": database, "strict": strict, "run": run,
        }  # fmt: skip
        self._epochs = epochs
        self._rounds: Rounds | None = None
        self._rules: list[Any] = []
        self._known: set[tuple[int, str]] = set()

    @property
    def run(self) -> tracker.Run | None:
        """The run of this training, or of the last one; None before the first."""
        return None if self._rounds is None else self._rounds.recording.run

    def __call__(self, env: CallbackEnv) -> None:
        """Record a round; the first one begins the run, the last one ends it."""
        if env.iteration == env.begin_iteration:
            self._begin(env)
        rounds = self._rounds
        if rounds is None or not rounds.recording.is_open:
            return
        results = env.evaluation_result_list or []
        rate = env.params.get("learning_rate")
        metrics = {name: value for result in results for name, value in _values(result)}
        rounds.log(env.iteration, metrics if rate is None else {**metrics, "learning_rate": rate})
        stopped = [rule for rule in self._rules if self._judge(rounds, rule, env)]
        if stopped or env.iteration == env.end_iteration - 1:
            rounds.end()

    def _begin(self, env: CallbackEnv) -> None:
        if self._rounds is not None and self._rounds.recording.is_open:
            self._rounds.recording.close_left()
        model = ref(env.model)
        rounds = Rounds(
            "TrackerCallback",
            self._start,
            epochs=self._epochs,
            is_driven=lambda: model() is not None,
        )
        rounds.recording.begin()
        rounds.recording.log_params(
            {**env.params, "num_boost_round": env.end_iteration - env.begin_iteration}
        )
        rounds.recording.capture(lightgbm={"version": lightgbm.__version__})
        self._rounds, self._known = rounds, set()
        function = "cv" if isinstance(env.model, lightgbm.CVBooster) else "train"
        beside = local(function, "callbacks_after_iter") or ()
        self._rules = [_copy(one) for one in beside if isinstance(one, _STOPPING)]

    def _judge(self, rounds: Rounds, rule: Any, env: CallbackEnv) -> bool:
        """Let a copy of an early stopping judge a round; say whether it stops the training there."""
        ended = False
        try:
            rule(env)
        except EarlyStopException:
            ended = True
        if not rule.enabled:
            return False
        for place, result in enumerate(env.evaluation_result_list or ()):
            if not _counts(rule, result, env):
                continue
            wait = env.iteration - rule.best_iter[place]
            stopped = ended and wait >= rule.stopping_rounds
            rounds.judged(
                self._policy(rounds, rule, result),
                env.iteration,
                result[2],
                Seen(rule.best_score[place], rule.best_iter[place], wait),
                patience=rule.stopping_rounds,
                min_delta=_delta(rule),
                stopped=stopped,
            )
            if stopped:
                return True
            if ended and env.iteration == env.end_iteration - 1:
                break  # its last check ends with the first metric
        return False

    def _policy(self, rounds: Rounds, rule: Any, result: Any) -> tracker.Policy:
        name, mode = _name(result), "max" if result[3] else "min"
        key = id(rule), name
        if key not in self._known:
            self._known.add(key)
            rounds.recording.run.define_metric(name, mode, monitor=len(self._known) == 1)
        return rounds.recording.policy(
            key,
            "EarlyStopping",
            monitor=name,
            config={
                "patience": rule.stopping_rounds,
                "min_delta": _delta(rule),
                "mode": mode,
                "first_metric_only": rule.first_metric_only,
            },
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the training: estimators copy and pickle their callbacks."""
        return {**self.__dict__, "_rounds": None, "_rules": [], "_known": set()}


def _copy(stopper: Any) -> Any:
    return early_stopping(
        stopper.stopping_rounds,
        first_metric_only=stopper.first_metric_only,
        verbose=False,
        min_delta=stopper.min_delta,
    )


def _counts(rule: Any, result: Any, env: CallbackEnv) -> bool:
    """Whether early stopping goes by a metric: not by that of training data, nor by a later one where one is enough."""
    if rule.first_metric_only and rule.first_metric != result[1]:
        return False
    return not rule._is_train_set(dataset_name=result[0], env=env)


def _delta(rule: Any) -> float:
    """Return what an improvement must exceed; 0 where that differs by metric."""
    given = rule.min_delta
    if isinstance(given, list):
        return float(given[0]) if len(set(given)) == 1 else 0.0
    return float(given)


def _name(result: Any) -> str:
    return f"{result[0]}_{result[1]}"


def _values(result: Any) -> Iterator[tuple[str, float]]:
    """Give a result of an evaluation, and of a cross-validation its standard deviation as well."""
    yield _name(result), result[2]
    if len(result) > 4 and result[4] is not None:
        yield f"{_name(result)}_std", result[4]
