"""XGBoost: every round's evaluation, why early stopping ended it, and the best round.

    from tracker_integrations.xgboost import TrackerCallback

    xgboost.train(params, data, 500, evals=[(valid, "valid")], early_stopping_rounds=10,
                  callbacks=[TrackerCallback(experiment="digits")])

Read in XGBoost 3.2.0. A round that another callback stops does not come to the callbacks after it, and one that
XGBoost adds itself comes after ours: rounds and verdicts are read at the next event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any
from weakref import ref

import tracker
from tracker_integrations.boosting import Rounds
from tracker_integrations.caller import caller, local
from tracker_integrations.judged import Seen
from tracker_integrations.needed import needed
from tracker_integrations.recording import Start

with needed("xgboost", "xgboost"):
    import xgboost
    from xgboost.callback import (
        CallbackContainer,
        EarlyStopping,
        TrainingCallback,
        TrainingCheckPoint,
    )


class TrackerCallback(TrainingCallback):
    """Record training or cross-validation by `xgboost.train`, `xgboost.cv` or an estimator.

    Args:
        experiment, name, params, tags, database, strict, run: as for `tracker.start_run`, and a run to record into.
        epochs: record each round as an epoch as well: it is durable then, every check of early stopping is a
            decision, and ``tracker replay`` tries other patiences; a round costs a transaction more.
    """

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
        super().__init__()
        self._start: Start = {
            "experiment": experiment, "name": name, "params": params, "tags": tags,
            "database": database, "strict": strict, "run": run,
        }  # fmt: skip
        self._epochs = epochs
        self._rounds: Rounds | None = None
        self._done, self._first = 0, 0
        self._log: Any = {}
        self._stoppers: list[Any] = []
        self._savers: list[Any] = []

    @property
    def run(self) -> tracker.Run | None:
        """The run of this training, or of the last one; None before the first."""
        return None if self._rounds is None else self._rounds.recording.run

    def before_training(self, model: Any) -> Any:
        """Begin the run."""
        if self._rounds is not None and self._rounds.recording.is_open:
            self._rounds.recording.close_left()
        container = caller(CallbackContainer)
        beside = [] if container is None else container.callbacks
        watched = None if container is None else ref(container)
        rounds = Rounds(
            "TrackerCallback",
            self._start,
            epochs=self._epochs,
            is_driven=lambda: watched is None or watched() is not None,
        )
        self._rounds, self._done, self._log = rounds, 0, {}
        self._stoppers = [one for one in beside if isinstance(one, EarlyStopping)]
        self._savers = [one for one in beside if isinstance(one, TrainingCheckPoint)]
        boosted = getattr(model, "num_boosted_rounds", None)
        self._first = 0 if boosted is None else boosted()
        rounds.recording.begin()
        function = "train" if boosted is not None else "cv"
        given = dict(local(function, "params") or {}).items()
        rounds.recording.log_params(
            {
                # An estimator gives None for each parameter that is left to XGBoost.
                **{name: value for name, value in given if value is not None},
                "num_boost_round": local(function, "num_boost_round"),
            }
        )
        rounds.recording.capture(xgboost={"version": xgboost.__version__})
        return model

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Record the round before this one."""
        self._catch_up(evals_log)
        return False

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Know what was evaluated; its verdicts are not in yet."""
        self._log = evals_log
        return False

    def after_training(self, model: Any) -> Any:
        """Record the last round, and end the run."""
        rounds = self._rounds
        if rounds is None or not rounds.recording.is_open:
            return model
        self._catch_up(self._log)
        for stopper in self._stoppers:
            if stopper.save_best and stopper.best_scores:
                policy, _, seen = self._state(rounds, stopper)
                rounds.kept_best(policy, self._first + self._done - 1, seen.best, seen.best_epoch)
        rounds.end()
        return model

    def _catch_up(self, evals_log: Any) -> None:
        """Record the rounds that were evaluated since the last look."""
        self._log, rounds = evals_log, self._rounds
        series = dict(_series(evals_log))
        count = max(map(len, series.values()), default=0)
        if rounds is None or count <= self._done:
            return
        for at in range(self._done, count):
            rounds.log(self._first + at, _at(series, at))
        self._done = count
        number = self._first + count - 1
        for stopper in self._stoppers:
            policy, value, seen = self._state(rounds, stopper)
            rounds.judged(
                policy,
                number,
                value,
                seen,
                patience=stopper.rounds,
                min_delta=stopper._min_delta,
                stopped=stopper.current_rounds >= stopper.rounds,
            )
        for path in self._saved(number):
            rounds.recording.saved(path, epoch=number, step=number + 1, metrics=_at(series, -1))

    def _state(self, rounds: Rounds, stopper: Any) -> tuple[tracker.Policy, float, Seen]:
        """Return what an early stopping remembers after its last check."""
        ((data, metrics),) = stopper.stopping_history.items()
        ((metric, values),) = metrics.items()
        mode = "max" if stopper.maximize else "min"
        name = f"{data}_{metric}"
        policy = rounds.recording.policy(
            id(stopper),
            "EarlyStopping",
            monitor=name,
            config={
                "patience": stopper.rounds,
                "min_delta": stopper._min_delta,
                "mode": mode,
                "save_best": stopper.save_best,
            },
        )
        rounds.recording.run.define_metric(name, mode, monitor=True)
        number = self._first + self._done - 1
        best = stopper.best_scores[data][metric][-1]
        seen = Seen(_mean(best), number - stopper.current_rounds, stopper.current_rounds)
        return policy, _mean(values[-1]), seen

    def _saved(self, number: int) -> Iterator[Path]:
        """Give the files that XGBoost's own checkpointing has written after a round."""
        for saver in self._savers:
            ending = "pkl" if saver._as_pickle else saver.default_format
            path = Path(saver._path) / f"{saver._name}_{number}.{ending}"
            if path.is_file():
                yield path

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the training: estimators copy and pickle their callbacks."""
        return {**self.__dict__, "_rounds": None, "_stoppers": [], "_savers": [], "_log": {}}


def _series(evals_log: Mapping[str, Mapping[str, list[Any]]]) -> Iterator[tuple[str, list[Any]]]:
    for data, metrics in evals_log.items():
        for metric, values in metrics.items():
            yield f"{data}_{metric}", values


def _at(series: Mapping[str, list[Any]], at: int) -> dict[str, float]:
    """Return the values of one round; a cross-validation's are a mean and a standard deviation each."""
    found: dict[str, float] = {}
    for name, values in series.items():
        value = values[at]
        found[name] = _mean(value)
        if isinstance(value, tuple):
            found[f"{name}_std"] = value[1]
    return found


def _mean(value: Any) -> float:
    return float(value[0] if isinstance(value, tuple) else value)
