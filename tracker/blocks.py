"""Series on their way into the database, and back: calls cut into blocks of compressed columns.

`SeriesWriter` holds the open block of one attempt and says which rows must be upserted;
`tracker.stored.assemble` puts stored blocks back together. Neither knows a database.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracker.packing import Batch, Column
from tracker.series import BLOCK_CALLS, encode_clock, encode_values

BLOCK_POINTS = 1 << 17
FEWEST_CALLS = 512  # fewer compress worse and read slower

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SeriesBlock:
    """The values of one name in a block; ``first_step`` and ``last_step`` are its lowest and highest."""

    name: str
    points: int
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


class _OpenSeries:
    """The values of one name in the open block, in pieces, and the calls they belong to."""

    def __init__(self) -> None:
        self.values: list[Floats] = []
        self.rows: list[Ints | range] = []
        self.points = 0
        self.dense = True  # each piece so far was for every one of its calls
        self.changed = True

    def add(self, rows: Ints | range, values: Floats) -> None:
        self.values.append(values)
        self.rows.append(rows)
        self.points += len(values)
        self.dense &= isinstance(rows, range)
        self.changed = True

    def whole(self) -> tuple[Ints | None, Floats]:
        """Return the rows, None for the block's first calls, and the values; keep one piece."""
        self.values = [np.concatenate(self.values)]
        if self.dense and self.rows[-1][-1] == self.points - 1:
            self.rows = [range(self.points)]
            return None, self.values[0]
        rows = np.concatenate([np.asarray(rows, np.int64) for rows in self.rows])
        self.rows = [rows]
        return rows, self.values[0]


class _OpenBlock:
    """The block that calls are added to."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.points = 0
        self.changed = False
        self.steps: list[Ints] = []
        self.times: list[Ints] = []
        self.series: dict[str, _OpenSeries] = {}

    def add(self, batch: Batch, start: int, stop: int) -> None:
        """Add the batch's calls from ``start`` to before ``stop``."""
        every = range(self.calls, self.calls + stop - start)
        self.steps.append(batch.steps[start:stop])
        self.times.append(batch.times[start:stop])
        for column in batch.columns:
            rows, values = _cut(column, start, stop)
            if len(values):
                series = self.series.setdefault(column.name, _OpenSeries())
                series.add(every if rows is None else rows + (self.calls - start), values)
                self.points += len(values)
        self.calls += stop - start
        self.changed = True

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
        started, payload = int(times.min()), encode_clock(steps, times)
        return CallBlock(self.number, self.calls, low, high, started, final, payload, changed)

    def saved(self) -> None:
        self.changed = False
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
    return SeriesBlock(name, len(values), *span, encode_values(values, rows))


class SeriesWriter:
    """Turns the batches of one attempt into blocks. Not for several threads at once.

    A block is full at ``most_calls`` calls (at most 65536), or earlier at ``points`` values once it
    has ``fewest_calls``, so that wide calls make no huge blocks. `pending` keeps giving a block
    until `saved` is called after its commit, so that a failed transaction loses nothing.
    """

    def __init__(
        self,
        *,
        most_calls: int = BLOCK_CALLS,
        fewest_calls: int = FEWEST_CALLS,
        points: int = BLOCK_POINTS,
    ) -> None:
        self._most_calls = most_calls
        self._fewest_calls = fewest_calls
        self._points = points
        self._open = _OpenBlock(0)
        self._full: list[CallBlock] = []

    def add(self, batches: Iterable[Batch]) -> None:
        """Take batches in the order of `Buffer.drain`; a block that gets full is encoded."""
        for batch in batches:
            start = 0
            while start < batch.calls:
                stop = min(batch.calls, start + self._room(batch))
                self._open.add(batch, start, stop)
                start = stop
                if self._room(batch) == 0:
                    self._full.append(self._open.encode(final=True))
                    self._open = _OpenBlock(self._open.number + 1)

    def _room(self, batch: Batch) -> int:
        """How many calls of about the batch's width still fit into the open block."""
        width = max(1, batch.points // batch.calls)
        wide = -(-(self._points - self._open.points) // width)
        few = self._fewest_calls - self._open.calls
        return max(0, min(self._most_calls - self._open.calls, max(few, wide)))

    def pending(self) -> list[CallBlock]:
        """Return the blocks to upsert, each whole or not at all: full ones, then the open one."""
        if self._open.changed:
            return [*self._full, self._open.encode(final=False)]
        return list(self._full)

    def saved(self) -> None:
        """Note that everything `pending` returned last is in the database."""
        self._full.clear()
        self._open.saved()
