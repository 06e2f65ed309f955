"""What early stopping would have done: many runs and many patiences at once.

Whether an epoch improves, and how long the wait is, does not depend on patience: one pass over the
epochs serves all patiences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracker.policies.early_stopping import EarlyStopping
from tracker.policies.modes import KERAS, LIGHTNING, TRANSFORMERS

Recorded = Sequence[tuple[int, float | None]]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Replayed:
    """Outcomes, each an array of shape (runs, patiences).

    Attributes:
        stop_epoch: the 0-based epoch at which training would have stopped, -1 for not at all.
        best_epoch: the epoch of the best value up to then, -1 for no such epoch.
        best: that value; NaN where no value was the best, or where Keras' best is a NaN.
    """

    stop_epoch: Ints
    best_epoch: Ints
    best: Floats


def replay_early_stopping(
    series: Sequence[Recorded], patiences: Sequence[int], config: EarlyStopping
) -> Replayed:
    """Replay early stopping over recorded metrics.

    Gives what `EarlyStopping.step` gives when it is fed one value after the other until it says
    stop. 1 000 runs of 200 epochs with 20 patiences take a fraction of a second.

    Args:
        series: for each run its ``(epoch, value)`` in recorded order; a value of None is missing.
        patiences: the patiences to try.
        config: every other setting; its own patience is not looked at.

    Raises:
        BadValue: a patience that ``config.rules`` refuses.
    """
    tried = [replace(config, patience=patience).patience for patience in patiences]
    epochs, values, given = _side_by_side(series)
    if not given.size:
        return _nothing(len(series), len(tried))
    follow = _follow_transformers if config.rules == TRANSFORMERS else _follow
    with np.errstate(over="ignore", invalid="ignore"):
        trace = follow(config, epochs, values, given)
    outcomes = [_outcome(trace, epochs, patience) for patience in tried]
    if not outcomes:
        return _nothing(len(series), 0)
    stop_epoch, best_epoch, best = (
        np.stack(column, axis=1) for column in zip(*outcomes, strict=True)
    )
    return Replayed(stop_epoch, best_epoch, best)


@dataclass(frozen=True)
class _Trace:
    """How each run goes when nothing stops it; arrays of shape (checks, runs).

    ``ready``, where there is one: a stop that comes before is remembered until then.
    """

    wait: Ints
    best: Floats
    best_epoch: Ints
    may_stop: Bools
    must_stop: Bools
    ready: Bools | None = None


def _outcome(trace: _Trace, epochs: Ints, patience: int) -> tuple[Ints, Ints, Floats]:
    stops = trace.must_stop | (trace.may_stop & (trace.wait >= patience))
    if trace.ready is not None:
        stops = np.logical_or.accumulate(stops, axis=0) & trace.ready
    stopped, runs = stops.any(axis=0), np.arange(epochs.shape[1])
    row = np.where(stopped, stops.argmax(axis=0), len(epochs) - 1)
    stop_epoch = np.where(stopped, epochs[row, runs], -1)
    return stop_epoch, trace.best_epoch[row, runs], trace.best[row, runs]


def _follow(config: EarlyStopping, epochs: Ints, values: Floats, given: Bools) -> _Trace:
    judged = given & (epochs >= config.start_from_epoch)
    eligible = judged & _eligible(config, values)
    lightning, at_once = config.rules == LIGHTNING, judged & _stops_at_once(config, values)
    counted = judged & ~at_once if lightning else judged
    worst = np.inf if config.direction == "min" else -np.inf
    shifted = _shifted(config, values)
    resets = _is_better(config, shifted, config.baseline)
    wait, best, best_epoch = np.zeros_like(epochs), np.empty_like(values), np.empty_like(epochs)
    improved = np.empty_like(given)
    waited, value, at = (
        np.zeros_like(epochs[0]),
        np.full_like(values[0], np.nan),
        np.full_like(epochs[0], -1),
    )
    some = np.zeros_like(given[0])
    for row in range(len(epochs)):
        best_yet = np.where(some, value, worst) if lightning else value
        better = eligible[row] & _is_better(config, shifted[row], best_yet)
        if not lightning:
            better |= eligible[row] & ~some
        waited = np.where(better & resets[row], 0, waited + counted[row])
        value = np.where(better, values[row], value)
        at = np.where(better, epochs[row], at)
        some |= better
        wait[row], best[row], best_epoch[row], improved[row] = waited, value, at, better
    ready = judged & (epochs + 1 >= config.min_epochs)
    if lightning:
        waits = counted & ~improved
        return _Trace(wait, best, best_epoch, may_stop=waits, must_stop=at_once, ready=ready)
    return _Trace(
        wait=wait,
        best=best,
        best_epoch=best_epoch,
        may_stop=ready & ~improved & (epochs > 0),
        must_stop=ready & at_once,
    )


def _follow_transformers(
    config: EarlyStopping, epochs: Ints, values: Floats, given: Bools
) -> _Trace:
    """Follow ``transformers-5``: the best moves with any improvement, the wait ends with one beyond ``min_delta``."""
    lower = config.direction == "min"
    wait, best, best_epoch = np.zeros_like(epochs), np.empty_like(values), np.empty_like(epochs)
    waited, at = np.zeros_like(epochs[0]), np.full_like(epochs[0], -1)
    value = np.full_like(values[0], np.inf if lower else -np.inf)
    some = np.zeros_like(given[0])
    for row, judged in enumerate(given):
        ahead = judged & (values[row] < value if lower else values[row] > value)
        resets = ~some | (ahead & (np.abs(values[row] - value) > config.min_delta))
        waited = np.where(judged, np.where(resets, 0, waited + 1), waited)
        value = np.where(ahead, values[row], value)
        at = np.where(ahead, epochs[row], at)
        some |= judged
        wait[row], best[row], best_epoch[row] = waited, np.where(some, value, np.nan), at
    return _Trace(
        wait=wait,
        best=best,
        best_epoch=best_epoch,
        may_stop=given,
        must_stop=np.zeros_like(given),
    )


def _side_by_side(series: Sequence[Recorded]) -> tuple[Ints, Floats, Bools]:
    """Lay out the runs one a column; shorter ones end in checks without a metric."""
    lengths = np.array([len(run) for run in series], dtype=np.int64)
    exists = np.arange(lengths.max(initial=0)) < lengths[:, None]
    epochs, values = np.zeros(exists.shape, dtype=np.int64), np.full(exists.shape, np.nan)
    given = np.zeros(exists.shape, dtype=np.bool_)
    epochs[exists] = [epoch for run in series for epoch, _ in run]
    values[exists] = [np.nan if value is None else value for run in series for _, value in run]
    given[exists] = [value is not None for run in series for _, value in run]
    columns = np.ascontiguousarray
    return columns(epochs.T), columns(values.T), columns(given.T)


def _nothing(runs: int, patiences: int) -> Replayed:
    none = np.full((runs, patiences), -1, dtype=np.int64)
    return Replayed(none, none.copy(), np.full((runs, patiences), np.nan))


def _eligible(config: EarlyStopping, values: Floats) -> Bools:
    if config.rules == LIGHTNING:
        return ~_stops_at_once(config, values)
    if config.check_finite:
        return np.isfinite(values)
    return np.ones(values.shape, np.bool_) if config.rules == KERAS else ~np.isnan(values)


def _shifted(config: EarlyStopping, values: Floats) -> Any:
    delta = abs(config.min_delta)
    if config.rules == LIGHTNING:
        sign = 1 if config.direction == "min" else -1
        single = values.astype(np.float32)
        shifted = (single + sign * np.float32(delta)).astype(np.float64)
        return np.where(single == values, shifted, values + sign * delta)
    return _comparable(config, values + delta if config.direction == "min" else values - delta)


def _comparable(config: EarlyStopping, values: Floats) -> Any:
    if config.rules != KERAS:
        return values
    return values.astype(np.float32)


def _is_better(config: EarlyStopping, shifted: Any, reference: Floats | float | None) -> Bools:
    if reference is None:
        return np.ones(shifted.shape, np.bool_)
    other = _comparable(config, np.asarray(reference, dtype=np.float64))
    return np.asarray(shifted < other if config.direction == "min" else shifted > other)


def _stops_at_once(config: EarlyStopping, values: Floats) -> Bools:
    lower = config.direction == "min"
    stops = np.zeros(values.shape, np.bool_)
    if config.check_finite:
        stops |= ~np.isfinite(values)
    if config.stopping_threshold is not None:
        target = _threshold(config, config.stopping_threshold, values)
        stops |= values < target if lower else values > target
        if config.rules != LIGHTNING:
            stops |= values == target
    if config.divergence_threshold is not None:
        bound = _threshold(config, config.divergence_threshold, values)
        stops |= values > bound if lower else values < bound
    return stops


def _threshold(config: EarlyStopping, threshold: float, values: Floats) -> Any:
    """Return what values are compared with: under ``lightning-2.6`` in the precision of each."""
    if config.rules != LIGHTNING:
        return threshold
    return np.where(
        values.astype(np.float32) == values, np.float64(np.float32(threshold)), threshold
    )
