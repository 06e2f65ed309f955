"""The points of many series with few each: read from a block that they share, and summarized together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tracker.series.blocks import SeriesSummary
from tracker.series.codec import decode_members, decode_values

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class SharedValues:
    """A sparse block: its series, how many points each has, and those, one series after the other."""

    series: Ints
    counts: Ints
    rows: Rows
    values: Floats

    def only(self, wanted: Flags) -> SharedValues:
        """Return those of the series for which these flags are set."""
        if wanted.all():
            return self
        points = np.repeat(wanted, self.counts)
        return SharedValues(
            self.series[wanted], self.counts[wanted], self.rows[points], self.values[points]
        )


def decode_shared(members: bytes, payload: bytes) -> SharedValues:
    """Return what a sparse block holds.

    Raises:
        ValueError: for bytes that are damaged, cut short, of a newer version, or do not belong together.
    """
    series, counts = decode_members(members)
    return shared_values(series, counts, payload)


def shared_values(series: Ints, counts: Ints, payload: bytes) -> SharedValues:
    """Return what a sparse block of these series holds; raises as `decode_shared` does."""
    rows, values = decode_values(payload)
    if rows is None or len(values) != counts.sum():
        raise ValueError(
            f"A block that {len(counts)} series share holds {len(values)} values, not {counts.sum()}."
        )
    return SharedValues(series, counts, rows, values)


def superseded_in(
    series: Ints, steps: Ints, attempt: int, cuts: Mapping[int, Mapping[int, int]]
) -> Flags | None:
    """Return which points of an attempt a later one has superseded; None for none.

    Args:
        series: which series each point belongs to, by id.
        steps: the step of each.
        attempt: the attempt's number.
        cuts: by series and attempt, the step from which on its points are superseded.
    """
    of_attempt = {key: cut[attempt] for key, cut in cuts.items() if attempt in cut}
    if not of_attempt:
        return None
    known, places = np.unique(series, return_inverse=True)
    keys = known.tolist()
    is_cut = np.array([key in of_attempt for key in keys], np.bool_)
    at = np.array([of_attempt.get(key, 0) for key in keys], np.int64)
    return is_cut[places] & (steps >= at[places])


@dataclass(frozen=True, slots=True)
class SeriesPoints:
    """Points of several series, those of each in the order in which they were logged."""

    series: Ints
    steps: Ints
    values: Floats

    def at(self, places: npt.NDArray[Any]) -> SeriesPoints:
        """Return the points at these places, or where these flags are set."""
        return SeriesPoints(self.series[places], self.steps[places], self.values[places])


def points_of(shared: SharedValues, steps: Ints) -> SeriesPoints:
    """Return the points of a sparse block, with the steps of its clock.

    Raises:
        ValueError: for a clock of other calls than the block's.
    """
    if int(shared.rows.max(initial=0)) >= len(steps):
        raise ValueError(
            f"A block of {len(shared.values)} values has steps for {len(steps)} calls."
        )
    series = np.repeat(shared.series, shared.counts)
    return SeriesPoints(series, steps[shared.rows], shared.values)


def joined(parts: Iterable[SeriesPoints]) -> SeriesPoints:
    """Return the points of all, those that were logged first first."""
    some = [SeriesPoints(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)), *parts]
    return SeriesPoints(
        np.concatenate([part.series for part in some]),
        np.concatenate([part.steps for part in some]),
        np.concatenate([part.values for part in some]),
    )


class Extremes(NamedTuple):
    """What several series amount to: the fields of a `SeriesSummary`, as columns."""

    last: list[float]
    last_step: list[int]
    min: list[float | None]
    min_step: list[int | None]
    max: list[float | None]
    max_step: list[int | None]


_HIGHEST = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class GroupedPoints:
    """Points one series after the other; those of the n-th series begin at the n-th of ``starts``."""

    series: Ints
    starts: npt.NDArray[np.intp]
    steps: Ints
    values: Floats

    def spans(self) -> tuple[list[int], list[int], list[int]]:
        """Return the series, and the lowest and the highest step of each."""
        if not len(self.series):
            return [], [], []
        lowest = np.minimum.reduceat(self.steps, self.starts)
        highest = np.maximum.reduceat(self.steps, self.starts)
        return self.series.tolist(), lowest.tolist(), highest.tolist()

    def summaries(self) -> dict[int, SeriesSummary]:
        """Return the summary of each series, as `tracker.series.blocks.summary_of` does of one."""
        return dict(zip(self.series.tolist(), map(SeriesSummary, *self.extremes()), strict=True))

    def extremes(self) -> Extremes:
        """Return the same as columns."""
        if not len(self.series):
            return Extremes([], [], [], [], [], [])
        last = np.append(self.starts[1:], len(self.values)) - 1
        low = self._first_of(np.minimum, np.inf)
        high = self._first_of(np.maximum, -np.inf)
        return Extremes(
            self.values[last].tolist(),
            self.steps[last].tolist(),
            *self._told(low),
            *self._told(high),
        )

    def without(self, series: Collection[int]) -> GroupedPoints:
        """Leave out the points of these series."""
        left = ~np.isin(self.series, list(series))
        lengths = np.diff(self.starts, append=len(self.values))
        points = np.repeat(left, lengths)
        starts = np.cumsum(lengths[left]) - lengths[left]
        return GroupedPoints(self.series[left], starts, self.steps[points], self.values[points])

    def _first_of(self, extreme: np.ufunc, beyond: float) -> npt.NDArray[np.intp]:
        """Return where each series first has its extreme; -1 where every value is NaN."""
        known = np.where(np.isnan(self.values), beyond, self.values)
        lengths = np.diff(self.starts, append=len(self.values))
        at = np.flatnonzero(self.values == np.repeat(extreme.reduceat(known, self.starts), lengths))
        first = np.searchsorted(at, self.starts)
        places = np.append(at, len(self.values))[first]
        return np.where(places < self.starts + lengths, places, -1)

    def _told(self, places: npt.NDArray[np.intp]) -> tuple[list[float | None], list[int | None]]:
        values: list[float | None] = self.values[places].tolist()
        steps: list[int | None] = self.steps[places].tolist()
        for nothing in np.flatnonzero(places < 0).tolist():
            values[nothing] = steps[nothing] = None
        return values, steps


def grouped(points: SeriesPoints) -> GroupedPoints:
    """Return the points by series; those of one stay in their order."""
    lowest = points.series.min(initial=_HIGHEST)
    # What has 16 bits is sorted by counting.
    if points.series.max(initial=lowest) - lowest < 1 << 16:
        codes = (points.series - lowest).astype(np.uint16)
    else:
        places = np.unique(points.series, return_inverse=True)[1]
        codes = places.astype(np.min_scalar_type(len(places)))
    order = np.argsort(codes, kind="stable")
    series = points.series[order]
    starts = np.flatnonzero(np.diff(series, prepend=lowest - 1))
    return GroupedPoints(series[starts], starts, points.steps[order], points.values[order])
