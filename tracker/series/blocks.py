"""Series on their way into the database, and back: calls cut into blocks of compressed columns.

`SeriesWriter` holds the open block of one attempt and says which rows must be upserted;
`tracker.series.assemble.assemble` puts stored blocks back together. Neither knows a database.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tracker.series.batch import SPARSE, Batch, CodedNames, Codes, Column, Sparse
from tracker.series.codec import BLOCK_CALLS, decode_values, encode_clock, encode_values

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class SeriesSummary(NamedTuple):
    """What a series amounts to; of equal values the first counts, and a NaN is only ever the last.

    ``last`` is the value that was logged last, whatever its step; ``min`` and ``max`` are None where every
    value is NaN.
    """

    last: float
    last_step: int
    min: float | None
    min_step: int | None
    max: float | None
    max_step: int | None

    def followed_by(self, later: SeriesSummary) -> SeriesSummary:
        """Return the summary of this part of a series and the one after it."""
        lower = higher = self
        if later.min is not None and (self.min is None or later.min < self.min):
            lower = later
        if later.max is not None and (self.max is None or later.max > self.max):
            higher = later
        return SeriesSummary(
            later.last, later.last_step, lower.min, lower.min_step, higher.max, higher.max_step
        )


def summary_of(values: Floats, steps: Ints) -> SeriesSummary:
    """Return the summary of at least one value, in the order in which they were logged."""
    low, high = int(values.argmin()), int(values.argmax())
    last, last_step = float(values[-1]), int(steps[-1])
    if not math.isnan(values[low]):
        return SeriesSummary(
            last, last_step,
            float(values[low]), int(steps[low]), float(values[high]), int(steps[high]),
        )  # fmt: skip
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return SeriesSummary(last, last_step, None, None, None, None)
    low, high = int(known[values[known].argmin()]), int(known[values[known].argmax()])
    return SeriesSummary(
        last, last_step,
        float(values[low]), int(steps[low]), float(values[high]), int(steps[high]),
    )  # fmt: skip


def summary_of_block(payload: bytes, steps: Ints, cut: int | None = None) -> SeriesSummary | None:
    """Return the summary of a stored block; None where nothing of it is left below the step ``cut``.

    Args:
        payload: the block's values.
        steps: those of its clock.
        cut: the step from which on its values are superseded; None for nowhere.

    Raises:
        ValueError: for a payload that is damaged, of a newer version, or of other calls than the clock's.
    """
    rows, values = decode_values(payload)
    if (len(values) - 1 if rows is None else int(rows.max(initial=0))) >= len(steps):
        raise ValueError(f"A block of {len(values)} values has steps for {len(steps)} calls.")
    own = steps[: len(values)] if rows is None else steps[rows]
    if cut is not None:
        below = own < cut
        values, own = values[below], own[below]
    return summary_of(values, own) if len(values) else None


BLOCK_POINTS = 1 << 17
FEWEST_CALLS = 512  # fewer compress worse and read slower


@dataclass(frozen=True, slots=True)
class SeriesBlock:
    """The values of one name in a block; ``first_step`` and ``last_step`` are its lowest and highest."""

    name: str
    points: int
    first_step: int
    last_step: int
    payload: bytes
    summary: SeriesSummary


@dataclass(frozen=True, slots=True)
class SparseBlock:
    """The values of all names that few calls of a block had, one name after the other.

    ``counts`` says how many points each of the ``names`` has; ``first_step`` and ``last_step`` are the lowest and
    highest of all.
    """

    names: Sequence[str]
    counts: Ints
    first_step: int
    last_step: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class CallBlock:
    """One block of calls: its clock, and the series that have changed since they were last saved.

    ``number`` counts from 0 within the attempt; ``first_step`` and ``last_step`` are the lowest and
    highest; ``started`` is the earliest time (µs since 1970); ``final``: nothing will be added.
    """

    number: int
    calls: int
    first_step: int
    last_step: int
    started: int
    final: bool
    payload: bytes
    series: list[SeriesBlock]
    sparse: SparseBlock | None = None

    @property
    def bytes(self) -> int:
        """The size of its payloads."""
        sparse = 0 if self.sparse is None else len(self.sparse.payload)
        return len(self.payload) + sparse + sum(len(series.payload) for series in self.series)


@dataclass(slots=True)
class _OpenSeries:
    """The values of one name in the open block, in pieces, and the calls they belong to."""

    values: list[Floats] = field(default_factory=list)
    rows: list[Ints | range] = field(default_factory=list)
    points: int = 0
    dense: bool = True  # each piece so far was for every one of its calls
    changed: bool = True
    summary: SeriesSummary | None = None

    def plus(self, rows: Ints | range, values: Floats, steps: Ints) -> _OpenSeries:
        """Return the series with the values of some more calls, and at least one."""
        piece = summary_of(values, steps)
        return _OpenSeries(
            [*self.values, values],
            [*self.rows, rows],
            self.points + len(values),
            self.dense and isinstance(rows, range),
            summary=piece if self.summary is None else self.summary.followed_by(piece),
        )

    def whole(self) -> tuple[Ints | None, Floats]:
        """Return the rows, None for the block's first calls, and the values; keep one piece."""
        self.values = [np.concatenate(self.values)]
        if self.dense and self.rows[-1][-1] == self.points - 1:
            self.rows = [range(self.points)]
            return None, self.values[0]
        rows = np.concatenate([np.asarray(rows, np.int64) for rows in self.rows])
        self.rows = [rows]
        return rows, self.values[0]


@dataclass(slots=True)
class _OpenSparse:
    """The points of the names in the open block that have few, in pieces; their codes are those of ``table``.

    ``has`` says of each code whether it has points.
    """

    table: Codes = field(default_factory=Codes)
    has: Flags = field(default_factory=lambda: np.zeros(0, np.bool_))
    pieces: list[Sparse] = field(default_factory=list)
    changed: bool = False

    def __contains__(self, name: str) -> bool:
        code = self.table.get(name, len(self.has))
        return code < len(self.has) and bool(self.has[code])

    def plus(self, sparse: Sparse, start: int) -> _OpenSparse:
        """Return the points with some more, of calls that are counted from ``start`` in the block."""
        table = self.table if self.pieces else sparse.table
        codes = sparse.codes
        if sparse.table is not table:
            known, places = np.unique(codes, return_inverse=True)
            names = map(sparse.table.names.__getitem__, known.tolist())
            codes = np.fromiter(map(table.__getitem__, names), np.int32, len(known))[places]
        has = np.zeros(max(len(self.has), int(codes.max()) + 1), np.bool_)
        has[: len(self.has)] = self.has
        has[codes] = True
        more = Sparse(table, codes, sparse.rows + np.int32(start), sparse.values)
        return _OpenSparse(table, has, [*self.pieces, more], True)

    def encode(self, steps: Ints) -> SparseBlock:
        """Encode the points by name; keep one piece."""
        codes, rows, values = (
            np.concatenate([piece[column] for piece in self.pieces]) for column in (1, 2, 3)
        )
        self.pieces = [Sparse(self.table, codes, rows, values)]
        order = np.argsort(codes.astype(np.min_scalar_type(len(self.has))), kind="stable")
        counts = np.bincount(codes)
        own = steps[rows]
        return SparseBlock(
            CodedNames(self.table, np.flatnonzero(counts)),
            counts[counts > 0],
            int(own.min()),
            int(own.max()),
            encode_values(values[order], rows[order]),
        )


@dataclass(slots=True)
class _OpenBlock:
    """The block that calls are added to.

    Within a block, a name is either among the sparse ones or has a series of its own, as its first calls were.
    """

    number: int
    shared: bool = True
    calls: int = 0
    points: int = 0
    changed: bool = False
    steps: list[Ints] = field(default_factory=list)
    times: list[Ints] = field(default_factory=list)
    series: dict[str, _OpenSeries] = field(default_factory=dict)
    sparse: _OpenSparse = field(default_factory=_OpenSparse)

    def plus(self, batch: Batch, start: int, stop: int) -> _OpenBlock:
        """Return the block with the batch's calls from ``start`` to before ``stop``; this one stays as it is."""
        calls, points = self.calls + stop - start, self.points
        steps = [*self.steps, batch.steps[start:stop]]
        times = [*self.times, batch.times[start:stop]]
        more = _OpenBlock(
            self.number,
            self.shared,
            calls,
            points,
            True,
            steps,
            times,
            dict(self.series),
            self.sparse,
        )
        few = [
            column for column in batch.columns if not more._add(column, batch.steps, start, stop)
        ]
        if few:
            more._share(few, batch.codes, start, stop)
        if batch.sparse is not None:
            more._add_sparse(batch.sparse, batch.steps, start, stop)
        return more

    def _add(self, column: Column, steps: Ints, start: int, stop: int) -> bool:
        """Add a column's values of these calls to its series; returns False where the name is a sparse one."""
        cut, values = _cut(column, start, stop)
        if not len(values):
            return True
        before = self.series.get(column.name)
        if before is None and self._is_sparse(column.name, len(values)):
            return False
        first = self.calls - (stop - start)
        rows = range(first, self.calls) if cut is None else cut + (first - start)
        own_steps = steps[start:stop] if cut is None else steps[cut]
        self.series[column.name] = (before or _OpenSeries()).plus(rows, values, own_steps)
        self.points += len(values)
        return True

    def _share(self, columns: list[Column], table: Codes, start: int, stop: int) -> None:
        """Add the values that columns of sparse names have of these calls."""
        cuts, values = zip(*(_cut(column, start, stop) for column in columns), strict=True)
        every = np.arange(start, stop)
        rows = [every if cut is None else cut for cut in cuts]
        codes = [table[column.name] for column in columns]
        sparse = Sparse(
            table,
            np.repeat(np.array(codes, np.int32), list(map(len, rows))),
            np.concatenate(rows).astype(np.int32),
            np.concatenate(values),
        )
        self.sparse = self.sparse.plus(sparse, self.calls - stop)
        self.points += len(sparse.values)

    def _is_sparse(self, name: str, points: int) -> bool:
        return self.shared and (points * SPARSE < self.calls or name in self.sparse)

    def _add_sparse(self, sparse: Sparse, steps: Ints, start: int, stop: int) -> None:
        low, high = np.searchsorted(sparse.rows, [start, stop])
        if high - low < len(sparse.rows):
            sparse = sparse.at(slice(low, high))
        of_own = self._of_own_series(sparse)
        if of_own is not None:
            for column in sparse.at(of_own).columns():
                self._add(column, steps, start, stop)
            sparse = sparse.at(~of_own)
        if len(sparse.values):
            self.sparse = self.sparse.plus(sparse, self.calls - stop)
            self.points += len(sparse.values)

    def _of_own_series(self, sparse: Sparse) -> Flags | None:
        """Return which of the points are of names with series of their own; None for none."""
        if not self.shared:
            return np.ones(len(sparse.codes), np.bool_)
        own = [code for name in self.series if (code := sparse.table.get(name)) is not None]
        of_own = np.isin(sparse.codes, own) if own else None
        return of_own if of_own is not None and of_own.any() else None

    def encode(self, final: bool) -> CallBlock:
        """Encode the clock, and the series that have changed."""
        self.steps, self.times = [np.concatenate(self.steps)], [np.concatenate(self.times)]
        steps, times = self.steps[0], self.times[0]
        low, high = int(steps.min()), int(steps.max())
        changed = [
            _encoded(name, series, steps, (low, high))
            for name, series in self.series.items()
            if series.changed
        ]
        sparse = self.sparse.encode(steps) if self.sparse.changed else None
        started, payload = int(times.min()), encode_clock(steps, times)
        return CallBlock(
            self.number, self.calls, low, high, started, final, payload, changed, sparse
        )

    def saved(self) -> None:
        self.changed = self.sparse.changed = False
        for series in self.series.values():
            series.changed = False


def _cut(column: Column, start: int, stop: int) -> tuple[Ints | None, Floats]:
    if column.rows is None:
        return None, column.values[start:stop]
    low, high = np.searchsorted(column.rows, [start, stop])
    return column.rows[low:high], column.values[low:high]


def _encoded(name: str, series: _OpenSeries, steps: Ints, span: tuple[int, int]) -> SeriesBlock:
    rows, values = series.whole()
    if len(values) != len(steps):
        own = steps[: len(values)] if rows is None else steps[rows]
        span = int(own.min()), int(own.max())
    assert series.summary is not None
    return SeriesBlock(name, len(values), *span, encode_values(values, rows), series.summary)


class SeriesWriter:
    """Turns the batches of one attempt into blocks. Not for several threads at once.

    A block is full at ``most_calls`` calls (at most 65536), or earlier at ``points`` values once it
    has ``fewest_calls``, so that wide calls make no huge blocks. Blocks are numbered from
    ``first_number``. Names that few calls have share a payload, unless ``shared`` is False.
    `pending` keeps giving a block until `saved` is called after its commit, so that a failed
    transaction loses nothing.
    """

    def __init__(
        self,
        *,
        most_calls: int = BLOCK_CALLS,
        fewest_calls: int = FEWEST_CALLS,
        points: int = BLOCK_POINTS,
        first_number: int = 0,
        shared: bool = True,
    ) -> None:
        self._most_calls = most_calls
        self._fewest_calls = fewest_calls
        self._points = points
        self._open = _OpenBlock(first_number, shared)
        self._full: list[CallBlock] = []
        self._given: list[Batch] = []
        self._added = 0  # calls of the first batch given

    def add(self, batches: Iterable[Batch]) -> None:
        """Take batches in the order of `Buffer.drain`; a block that gets full is encoded.

        Where it is interrupted (Ctrl-C), the next ``add`` continues: each step is made ready first, and
        done in statements without a call between them, which no signal can part.
        """
        self._given += batches
        while self._given:
            batch, start = self._given[0], self._added
            room = self._room(batch)
            if room == 0:
                full = self._open.encode(final=True)
                fresh = _OpenBlock(self._open.number + 1, self._open.shared)
                self._full += (full,)
                self._open = fresh
            elif start < batch.calls:
                stop = min(batch.calls, start + room)
                more = self._open.plus(batch, start, stop)
                self._open, self._added = more, stop
            else:
                del self._given[0]
                self._added = 0

    def _room(self, batch: Batch) -> int:
        """How many calls of about the batch's width still fit into the open block."""
        width = max(1, batch.points // max(1, batch.calls))
        wide = -(-(self._points - self._open.points) // width)
        few = self._fewest_calls - self._open.calls
        return max(0, min(self._most_calls - self._open.calls, max(few, wide)))

    @property
    def full_bytes(self) -> int:
        """The size of the full blocks that are not saved."""
        return sum(block.bytes for block in self._full)

    def pending(self) -> list[CallBlock]:
        """Return the blocks to upsert, each whole or not at all: full ones, then the open one."""
        if self._open.changed:
            return [*self._full, self._open.encode(final=False)]
        return list(self._full)

    def saved(self) -> None:
        """Note that everything `pending` returned last is in the database."""
        self._full.clear()
        self._open.saved()
