"""What groups of runs came to: by their rows, or, of runs that are judged by one metric, by sums of the database."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, select
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from tracker.models import OF_STEPS, RUN, SUMMARY
from tracker.queries.monitored import most_judged
from tracker.queries.result import Column, Listing
from tracker.queries.runs import COLUMNS, overview
from tracker.queries.stored_groups import Group, Same, StoredGroups
from tracker.storage.chunks import in_chunks, in_parts
from tracker.storage.database import Reader
from tracker.storage.directions import Directions

JUDGED = (
    Column("metric", "text"), Column("best", "number"), Column("best_run", "text"),
    Column("mean", "number"), Column("std", "number"),
)  # fmt: skip
_HUGE = 1e150
"""What is larger has a square that a double does not hold."""
_MOST_LOST = 1e6
"""How much larger than the variance the square may be that is taken from it: six of sixteen digits are lost then."""


def judgement(runs: Iterable[Mapping[str, Any]], modes: Mapping[str, str | None]) -> Sequence[Any]:
    """Return the cells of `JUDGED` for runs, the newest first, by which way is better for each metric."""
    with_best = [row for row in runs if row["best"] is not None]
    if not with_best:
        return (None,) * len(JUDGED)
    metric = most_judged(row["monitor"] for row in with_best)
    judged = [row for row in with_best if row["monitor"] == metric]
    pick = max if modes.get(metric or "") == "max" else min
    best = pick(judged, key=lambda row: row["best"])
    values = [row["best"] for row in judged]
    return metric, best["best"], best["name"], *_mean_and_std(values)


def _mean_and_std(values: Sequence[float]) -> tuple[float, float | None]:
    if len(values) == 1:
        return values[0], None
    if min(values) == max(values) and math.isfinite(values[0]):
        # Rounding would make a spread of it.
        return values[0], 0.0
    mean = _mean(values)
    spread = _mean([(value - mean) * (value - mean) for value in values]) * len(values)
    return mean, math.sqrt(spread / (len(values) - 1))


def _mean(values: Sequence[float]) -> float:
    """Return the mean; of infinities, and where the sum exceeds a double, as IEEE 754 has it."""
    try:
        return math.fsum(values) / len(values)
    except (OverflowError, ValueError):
        return sum(value / len(values) for value in values)


def modes_of(reader: Reader, listed: Listing) -> dict[str, str | None]:
    """Return which way is better for the metrics that listed runs are judged by."""
    if reader.empty:
        return {}
    directions = Directions(reader.connection, listed.cells("id"))
    judged = zip(listed.cells("monitor"), listed.cells("id"), strict=True)
    return {name: directions.of(name, run).mode for name, run in judged if name is not None}


@dataclass
class _Judged(Group):
    """The sums of a group's best values: of how far each is from one that is amid all of them."""

    judged: int = 0
    off: float = 0.0
    squares: float = 0.0
    lowest: float = math.inf
    highest: float = -math.inf

    def add(self, row: Any) -> None:
        """Add a row of the database's sums."""
        super().add(row)
        if not row.judged:
            return
        self.judged += row.judged
        self.off += row.off or 0.0
        self.squares += row.squares or 0.0
        self.lowest, self.highest = min(self.lowest, row.lowest), max(self.highest, row.highest)

    def mean_and_std(self, amid: float) -> tuple[float, float | None] | None:
        """Return both, or None where the sums have too few digits for them."""
        if self.judged == 1:
            return self.lowest, None
        if self.lowest == self.highest and abs(self.lowest) <= _HUGE:
            return self.lowest, 0.0
        if max(-self.lowest, self.highest) > _HUGE:
            return None
        off = self.off / self.judged
        variance = (self.squares - off * self.off) / (self.judged - 1)
        if off * off > _MOST_LOST * variance:
            return None
        return amid + off, math.sqrt(variance)


def of_one_metric(
    reader: Reader, groups: StoredGroups, monitor: tuple[str, str], limit: int | None
) -> Listing:
    """Return the groups of runs that are judged by one metric, where they have it: the database adds up.

    Args:
        reader: an open database with runs.
        groups: what they are grouped by.
        monitor: the metric and its mode: see `monitored.shared_monitor`.
        limit: at most so many groups.
    """
    metric = _Metric(reader, groups, *monitor)
    found = metric.groups()
    shown = dict(list(found.items())[:limit])
    judged = metric.judgements(shown)
    rows = [(*group.cells, *judged[same]) for same, group in shown.items()]
    return Listing((*groups.heads(), *JUDGED), rows)


class _Metric:
    """The metric that runs are judged by, asked of the database."""

    def __init__(self, reader: Reader, groups: StoredGroups, name: str, mode: str) -> None:
        self._reader = reader
        self._connection = reader.connection
        self._groups = groups
        self._name, self._mode = name, mode
        self._value = SUMMARY.c.max if mode == "max" else SUMMARY.c.min
        self._copy = RUN.c.judged_max if mode == "max" else RUN.c.judged_min
        self._copied = and_(RUN.c.judged_by == name, self._copy.is_not(None))
        self._link = and_(SUMMARY.c.run_id == RUN.c.id, SUMMARY.c.name == name, ~OF_STEPS)
        self._amid = self._middle()

    def _middle(self) -> float:
        """Return a value that half of the runs are below."""
        known = (SUMMARY.c.name == self._name, self._value.is_not(None))
        count = self._connection.scalar(select(func.count()).where(*known)) or 0
        values = select(self._value).where(*known).order_by(self._value)
        middle = self._connection.scalar(values.limit(1).offset(count // 2)) or 0.0
        return middle if abs(middle) <= _HUGE else 0.0

    def groups(self) -> dict[Same, _Judged]:
        """Return all groups, the newest first."""
        # Most runs have a copy in their row: the summaries of the rest are looked up.
        summary = select(self._value).where(self._link).correlate(RUN).scalar_subquery()
        value = case((self._copied, self._copy), else_=summary)
        rows = self._groups.counted_rows(value.label("value"))
        return self._groups.added(self._connection, rows, _Judged, self._sums)

    def _sums(self, rows: ReadOnlyColumnCollection[str, Any]) -> Sequence[ColumnElement[Any]]:
        off = rows.value - self._amid
        if self._connection.dialect.name == "postgresql":
            # It raises an error where SQLite has an infinity. A group with such values is not judged by its sums.
            off = case((func.abs(rows.value) <= _HUGE, off))
        return (
            func.count(rows.value).label("judged"),
            func.sum(off).label("off"),
            func.sum(off * off).label("squares"),
            func.min(rows.value).label("lowest"),
            func.max(rows.value).label("highest"),
        )

    def judgements(self, groups: Mapping[Same, _Judged]) -> dict[Same, Sequence[Any]]:
        """Return the cells of `JUDGED` for groups: by the sums, where all of a group are judged by the metric."""
        others, modes = self._others(groups)
        by_sums: dict[Same, tuple[float, float, float | None]] = {}
        for same, group in groups.items():
            spread = group.mean_and_std(self._amid) if group.judged else None
            if spread is not None and same not in others:
                best = group.highest if self._mode == "max" else group.lowest
                by_sums[same] = best, *spread
        names = self._newest_with({same: best for same, (best, *_) in by_sums.items()})
        by_rows = [same for same in groups if same not in by_sums]
        members = self._members([same for same in by_rows if groups[same].judged])
        found: dict[Same, Sequence[Any]] = {
            same: (self._name, best, names[same], *spread)
            for same, (best, *spread) in by_sums.items()
        }
        for same in by_rows:
            runs = [*members.get(same, ()), *others.get(same, ())]
            runs.sort(key=lambda run: (-run["started"], run["id"]))
            found[same] = judgement(runs, modes)
        return found

    def _others(
        self, groups: Mapping[Same, _Judged]
    ) -> tuple[dict[Same, list[dict[str, Any]]], dict[str, str | None]]:
        """Return the runs of each group that are judged otherwise, as no epoch has the metric; which way is better."""
        of_run: dict[str, Same] = {}
        if any(group.judged < group.runs for group in groups.values()):
            has_summary = exists().where(self._link).correlate(RUN)
            rows = self._groups.rows(RUN.c.id).where(~self._copied, ~has_summary)
            for run in self._connection.execute(rows):
                same, _ = self._groups.of(run)
                if same in groups:
                    of_run[run.id] = same
        listed = overview(self._reader, ids=list(of_run)) if of_run else Listing(COLUMNS)
        found: dict[Same, list[dict[str, Any]]] = {}
        for row in listed.dicts():
            if row["best"] is not None:
                found.setdefault(of_run[row["id"]], []).append(row)
        return found, {**modes_of(self._reader, listed), self._name: self._mode}

    def _newest_with(self, best: Mapping[Same, float]) -> dict[Same, str]:
        """Return the name of the newest run of each group that has its best value."""
        newest: dict[Same, tuple[int, str, str]] = {}
        for values in in_parts(sorted(set(best.values()))):
            rows = self._groups.rows(self._value, RUN.c.started, RUN.c.id, RUN.c.name)
            rows = rows.join(SUMMARY, self._link).where(self._value.in_(values))
            for row in self._connection.execute(rows):
                same, _ = self._groups.of(row)
                *_, value, started, run, name = row
                if value == best.get(same):
                    place = (-started, run, name)
                    newest[same] = min(newest.get(same, place), place)
        return {same: name for same, (_, _, name) in newest.items()}

    def _members(self, groups: Collection[Same]) -> dict[Same, list[dict[str, Any]]]:
        """Return the runs of some groups that have the metric, as a listing has them."""
        members: dict[Same, list[dict[str, Any]]] = {}
        if not groups:
            return members
        rows = self._groups.rows(RUN.c.id, RUN.c.name, RUN.c.started, self._value.label("best"))
        rows = rows.join(SUMMARY, self._link)
        for row in in_chunks(self._connection, rows, RUN.c.id, None):
            same, _ = self._groups.of(row)
            if same in groups:
                run = {name: getattr(row, name) for name in ("id", "name", "started", "best")}
                members.setdefault(same, []).append(run | {"monitor": self._name})
        return members
