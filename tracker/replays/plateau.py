"""Replays of ReduceLROnPlateau over recorded metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tracker.models import DECISION
from tracker.policies import ReduceLROnPlateau
from tracker.queries import Listing
from tracker.queries.callbacks import RecordedCallback, decided
from tracker.queries.listing import Column, columns
from tracker.replays import curves
from tracker.replays.settings import LeftOut, arguments, each_callback, remark
from tracker.storage.database import Reader

REDUCTIONS = columns(
    Column("run", "text"), DECISION.c.epoch, DECISION.c.monitor, DECISION.c.value, DECISION.c.best,
    DECISION.c.best_epoch, Column("wait", "integer"), Column("factor", "number"), DECISION.c.lr_before,
    DECISION.c.lr_after, DECISION.c.reason,
)  # fmt: skip
_UNKNOWN = "; no learning rate was recorded, 1 stands for the first one"


def reductions(
    reader: Reader, runs: Sequence[str], asked: Mapping[str, Any], left: LeftOut
) -> Listing:
    """Return where the learning rate would have been lowered, a row a reduction.

    It starts at the first learning rate that was recorded, and follows what others (a schedule) made of
    it. ``factor`` is the product of all reductions up to there. What a lower rate would have done to the
    metric nobody recorded: only the first reduction of a run is certain. Of several such callbacks each
    is replayed; ``monitor`` chooses.

    Raises:
        UnknownMetric: when a run that was named has no such metric.
        BadValue: for settings that cannot be.
    """
    if reader.empty:
        return Listing(REDUCTIONS)
    rows: list[tuple[Any, ...]] = []
    for run, name, callback, there in each_callback(
        reader, runs, "ReduceLROnPlateau", asked.get("monitor")
    ):
        rule = ReduceLROnPlateau(**arguments(ReduceLROnPlateau, callback, asked, there))
        if left.leave_out(run, name, rule.monitor, there):
            continue
        line = curves.curves(reader, [run], rule.monitor)[run]
        rates = _Rates(line, _recorded(reader, callback))
        added = remark(rule.rules, callback, asked)
        rows += [(name, *row, reason + added) for *row, reason in _reduced(rule, line, rates)]
    return Listing(REDUCTIONS, rows)


def _recorded(reader: Reader, callback: RecordedCallback | None) -> dict[int, tuple[float, float]]:
    """Return the learning rate before and after each epoch's verdict."""
    rows = [] if callback is None else decided(reader, callback)
    return {
        row.epoch: (row.lr_before, row.lr_after)
        for row in rows
        if row.lr_before is not None and row.lr_after is not None
    }


class _Rates:
    """The learning rate of a replay: what it was first, and what others made of it since."""

    def __init__(self, line: curves.Curve, recorded: Mapping[int, tuple[float, float]]) -> None:
        known = [before for before, _ in recorded.values()] or [
            rate for rate in line.rates if rate is not None
        ]
        self.known = bool(known)
        self.now = known[0] if known else 1.0
        self._recorded = recorded
        self._after: float | None = None

    def at(self, epoch: int) -> float:
        """Return the rate at the end of an epoch, with what others did to it since the last one."""
        if epoch in self._recorded:
            before, after = self._recorded[epoch]
            if self._after not in (None, before):
                same = self.now == self._after
                self.now = before if same or not self._after else self.now * before / self._after
            self._after = after
        return self.now


def _reduced(
    rule: ReduceLROnPlateau, line: curves.Curve, rates: _Rates
) -> Iterator[tuple[Any, ...]]:
    state, factor = rule.initial(), 1.0
    for epoch, value in line.points:
        before = rates.at(epoch)
        state, verdict = rule.step(state, epoch, value, before)
        if verdict.verdict != "reduced" or verdict.lr_after is None:
            continue
        rates.now = verdict.lr_after
        factor *= rates.now / before
        shown = (before, rates.now) if rates.known else (None, None)
        reason = verdict.reason if rates.known else verdict.reason + _UNKNOWN
        yield (
            epoch, rule.monitor, value, verdict.best, verdict.best_epoch, verdict.wait,
            factor, *shown, reason,
        )  # fmt: skip
