"""CatBoost: every iteration's evaluation, why its overfitting detector ended it, and the best iteration.

    from tracker_integrations.catboost import attach

    model = CatBoostClassifier(iterations=500)
    attach(model, experiment="digits")
    model.fit(data, eval_set=valid, early_stopping_rounds=10)

Read in CatBoost 1.2.10. A callback of CatBoost's hears of iterations, and of no beginning and no end; on a GPU it may
not have any. `attach` wraps ``fit``, and reads what callbacks did not hear from ``evals_result_``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from tracker_integrations.boosting import Rounds
from tracker_integrations.judged import Seen
from tracker_integrations.needed import needed
from tracker_integrations.recording import Start

with needed("catboost", "catboost"):
    import catboost


def attach(model: catboost.CatBoost, *, epochs: bool = False, **start: Any) -> None:
    """Record each fit of a model from now on, including one that raises.

    Args:
        model: its ``fit`` is replaced by one that records.
        epochs: record each iteration as an epoch as well: it is durable then, and ``tracker replay`` tries other
            patiences; an iteration costs a transaction more.
        **start: ``experiment``, ``name``, ``params``, ``tags``, ``database``, ``strict`` as for
            `tracker.start_run`, and ``run``, one to record into.
    """
    model.fit = partial(_fit, model, start, epochs)


def _fit(
    model: catboost.CatBoost, start: Mapping[str, Any], epochs: bool, *args: Any, **kwargs: Any
) -> Any:
    rounds = Rounds("attach", cast(Start, start), epochs=epochs)
    recording = rounds.recording
    recording.begin()
    recording.log_params(model.get_params())
    recording.capture(catboost={"version": catboost.__version__})
    listener = _Listener(rounds)
    if str(model.get_params().get("task_type")).upper() != "GPU":
        kwargs["callbacks"] = [*(kwargs.get("callbacks") or ()), listener]
    try:
        fitted = type(model).fit(model, *args, **kwargs)
        _tell_end(rounds, model, listener)
    except BaseException as error:
        recording.fail(error)
        raise
    rounds.end()
    return fitted


class _Listener:
    """What CatBoost calls after an iteration."""

    def __init__(self, rounds: Rounds) -> None:
        self.done = 0
        self._rounds = rounds

    def after_iteration(self, info: Any) -> bool:
        """Record an iteration; True: training continues."""
        self.catch_up(info.metrics or {})
        return True

    def catch_up(self, metrics: Mapping[str, Mapping[str, list[float]]]) -> None:
        """Record what was evaluated since the last time."""
        series = {f"{data}_{name}": values for data, by in metrics.items() for name, values in by.items()}  # fmt: skip
        count = max(map(len, series.values()), default=0)
        for at in range(self.done, count):
            found = {name: values[at] for name, values in series.items() if at < len(values)}
            self._rounds.log(at, found)
        self.done = max(self.done, count)


def _tell_end(rounds: Rounds, model: catboost.CatBoost, listener: _Listener) -> None:
    """Record what is known once the training has ended: its best iteration, and whether it was stopped."""
    results = model.get_evals_result()
    listener.catch_up(results)
    settings = model.get_all_params()
    _tell_best(rounds, model, results, settings)
    asked = int(settings.get("iterations") or 0)
    if listener.done < asked and not rounds.recording.stopped:
        rounds.recording.stop(
            f"a callback ended training after {listener.done} of {asked} iterations"
        )


def _tell_best(
    rounds: Rounds, model: catboost.CatBoost, results: Any, settings: Mapping[str, Any]
) -> None:
    at = model.get_best_iteration()
    name = _monitor(results, str(settings.get("eval_metric")))
    if at is None or name is None:
        return
    data, metric = name
    values = results[data][metric]
    last, best = len(values) - 1, values[at]
    mode = "min" if best == min(values) else "max"
    counts, patience = settings.get("od_type") == "Iter", int(settings.get("od_wait") or 0)
    monitor = f"{data}_{metric}"
    rounds.recording.run.define_metric(monitor, mode, monitor=True)
    policy = rounds.recording.policy(
        "detector",
        # The other types weigh how far the metric has come back, which patience does not tell.
        "EarlyStopping" if counts else "OverfittingDetector",
        monitor=monitor,
        config={
            "od_type": settings.get("od_type"),
            "od_pval": settings.get("od_pval"),
            "patience": patience,
            "mode": mode,
        },
    )
    # The types that weigh are off with a threshold of 0, which is CatBoost's own.
    if counts or float(settings.get("od_pval") or 0.0) > 0.0:
        rounds.judged(
            policy,
            last,
            values[last],
            Seen(best, at, last - at),
            patience=patience,
            stopped=len(values) < int(settings.get("iterations") or 0)
            and (not counts or last - at >= patience),
            before=_before(values, at, mode),
        )
    if model.tree_count_ == at + 1 <= last:
        rounds.kept_best(policy, last, best, at)


def _before(values: Sequence[float], at: int, mode: str) -> Seen:
    """Return what was known before the last iteration, where the best one of all is at ``at``."""
    last = len(values) - 1
    if at < last:
        return Seen(values[at], at, last - at - 1)
    earlier = sorted(range(last), key=values.__getitem__, reverse=mode == "max")
    return Seen(values[earlier[0]], earlier[0]) if earlier else Seen()


def _monitor(
    results: Mapping[str, Mapping[str, list[float]]], metric: str
) -> tuple[str, str] | None:
    """Return the data and the metric that the best iteration is told by: the first evaluation set's."""
    for data in sorted(results):
        if data.startswith("validation") and metric in results[data]:
            return data, metric
    return None
