"""Replays of ReduceLROnPlateau over recorded metrics. Experimental: only a run's first reduction is certain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracker.policies import ReduceLROnPlateau
from tracker.queries.callbacks import RecordedCallback, callbacks, decided
from tracker.replays import curves
from tracker.replays.missing_metrics import MissingMetrics
from tracker.replays.settings import Setup, setups
from tracker.states import VerdictWord
from tracker.storage.database import Reader

_NO_RATE = "; no learning rate was recorded, 1 stands for the first one"


@dataclass(frozen=True)
class Reduction:
    """One reduction of the learning rate.

    Attributes:
        run: the name of the run.
        epoch: at which it would have been made.
        monitor, value: the metric, and its value then.
        best, best_epoch, wait: what the callback would have known.
        factor: the product of all reductions up to this one.
        lr_before, lr_after: the learning rate; None where none was recorded.
        reason: one sentence.
    """

    run: str
    epoch: int
    monitor: str
    value: float | None
    best: float | None
    best_epoch: int | None
    wait: int
    factor: float
    lr_before: float | None
    lr_after: float | None
    reason: str


def reductions(
    reader: Reader, runs: Sequence[str], given: Mapping[str, Any], missing: MissingMetrics
) -> list[Reduction]:
    """Return where the learning rate would have been lowered.

    The learning rate is the recorded one of each epoch, with the recorded reductions of this callback
    replaced by the replayed ones: what others (a schedule) did to it is followed. What another rate would
    have done to the metric nobody recorded: only the first reduction of a run is certain.

    Raises:
        UnknownMetric: when a run that was named has no such metric.
        BadValue: for settings that cannot be.
    """
    if reader.empty:
        return []
    own = callbacks(reader, runs, "ReduceLROnPlateau")
    made: list[Reduction] = []
    for setup in setups(reader, runs, own, ReduceLROnPlateau, given):
        rule = ReduceLROnPlateau(**setup.arguments)
        if not missing.leave_out(setup):
            curve = curves.curves(reader, [setup.run], rule.monitor)[setup.run]
            made += _replayed(setup, rule, curve, _recorded_rates(reader, setup.callback))
    return made


def _recorded_rates(
    reader: Reader, callback: RecordedCallback | None
) -> dict[int, tuple[float, float]]:
    """Return the learning rate before and after each recorded verdict, by epoch."""
    decisions = [] if callback is None else decided(reader, callback)
    return {
        one.epoch: (one.lr_before, one.lr_after)
        for one in decisions
        if one.lr_before is not None and one.lr_after is not None
    }


def _replayed(
    setup: Setup,
    rule: ReduceLROnPlateau,
    curve: curves.Curve,
    recorded: Mapping[int, tuple[float, float]],
) -> Iterator[Reduction]:
    state = rule.initial()
    rate, is_known = 1.0, False
    replayed_factor = recorded_factor = 1.0
    for (epoch, value), epoch_rate in zip(curve.points, curve.rates, strict=True):
        before_then, after_then = recorded.get(epoch, (epoch_rate, epoch_rate))
        if before_then is not None:
            rate, is_known = before_then, True
        # With the run's own settings the two factors are equal, and the rate is the recorded one exactly.
        before = rate * (replayed_factor / recorded_factor)
        state, verdict = rule.step(state, epoch, value, before)
        if verdict.verdict == VerdictWord.REDUCED and verdict.lr_after is not None:
            replayed_factor *= _ratio(before, verdict.lr_after)
            reason = setup.explained(verdict.reason, rule.rules)
            yield Reduction(
                run=setup.name,
                epoch=epoch,
                monitor=rule.monitor,
                value=value,
                best=verdict.best,
                best_epoch=verdict.best_epoch,
                wait=verdict.wait or 0,
                factor=replayed_factor,
                lr_before=before if is_known else None,
                lr_after=verdict.lr_after if is_known else None,
                reason=reason if is_known else reason + _NO_RATE,
            )
        recorded_factor *= _ratio(before_then, after_then)


def _ratio(before: float | None, after: float | None) -> float:
    """Return by what a rate was multiplied; 1 where that cannot be told, or nothing would be left to divide by."""
    return after / before if before and after else 1.0
