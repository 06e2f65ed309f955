"""One step metric of one run, block by block: what a chart that is zoomed and followed reads.

A full block is final, so that whoever keeps decoded blocks reads only what is new, or what a zoom shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from tracker.errors import UnknownMetric, nearest
from tracker.models import BLOCK, CLOCK, SERIES, SPARSE_BLOCK, SPARSE_SPAN
from tracker.queries.points import damage_told
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.effective_blocks import Cuts, applying, cuts_of, live_blocks
from tracker.values import brief

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, order=True)
class StoredPart:
    """A block that is not read yet; from the step ``cut`` on it is superseded, None for nowhere.

    Equal for as long as nothing was added to it.
    """

    series: int
    attempt: int
    number: int
    points: int
    first_step: int
    last_step: int
    cut: int | None = None


@dataclass(frozen=True)
class Decoded:
    """The points of a block: at steps, or at times in µs since 1970."""

    x: Ints
    values: Floats


def parts_of(reader: Reader, run: str, name: str) -> list[StoredPart]:
    """Return the blocks of a step metric, in the order they were recorded, without superseded ones.

    Raises:
        UnknownMetric: names the step metrics that the run has.
    """
    connection = reader.connection
    series = list(connection.execute(select(SERIES).where(SERIES.c.run_id == run)))
    wanted = [row for row in series if row.name == name]
    if not wanted:
        known = [row.name for row in series]
        raise UnknownMetric(
            f"The run has no step metric {brief(name)}: {nearest(name, known, most=20)}"
        )
    cuts = cuts_of(connection, wanted)
    columns = BLOCK.c
    statement = select(
        columns.series_id, columns.attempt, columns.number, columns.points, columns.first_step,
        columns.last_step,
    )  # fmt: skip
    key = wanted[0].id
    rows = live_blocks(connection, [key], cuts, statement, superseded=False)
    shared = _shared_heads(reader, run, key)
    return sorted(
        StoredPart(
            row.series_id, row.attempt, row.number, row.points, row.first_step, row.last_step,
            applying(cuts, row),
        )
        for row in chain(rows, (row for row in shared if row.is_live(cuts)))
    )  # fmt: skip


class _SharedHead(NamedTuple):
    """What a sparse block has of one series; its steps lie within those that the series has in the attempt."""

    series_id: int
    attempt: int
    number: int
    points: int
    first_step: int
    last_step: int

    def is_live(self, cuts: Cuts) -> bool:
        """Say whether a later attempt leaves anything of it."""
        cut = applying(cuts, self)
        return cut is None or cut > self.first_step


def _shared_heads(reader: Reader, run: str, series: int) -> list[_SharedHead]:
    """Return the sparse blocks of a run that have points of a series."""
    of_series = select(SPARSE_SPAN).where(SPARSE_SPAN.c.series_id == series)
    spans = {row.attempt: row for row in reader.connection.execute(of_series)}
    if not spans:
        return []
    from tracker.series.codec import decode_members

    columns = SPARSE_BLOCK.c
    heads = select(
        columns.attempt, columns.number, columns.members, columns.first_step, columns.last_step
    ).where(columns.run_id == run, columns.attempt.in_(list(spans)))
    found = []
    for row in reader.connection.execute(heads):
        with damage_told(reader):
            members, counts = decode_members(row.members)
        span = spans[row.attempt]
        for points in counts[members == series].tolist():
            first = max(row.first_step, span.first_step)
            last = min(row.last_step, span.last_step)
            found.append(_SharedHead(series, row.attempt, row.number, points, first, last))
    return found


def read_parts(
    reader: Reader, run: str, parts: Sequence[StoredPart], *, times: bool = False
) -> Iterator[tuple[StoredPart, Decoded]]:
    """Yield the points of blocks of one series of this run, by step or, with ``times``, by time.

    Raises:
        StoreError: for a block that is damaged.
    """
    if not parts:
        return
    wanted = {(part.attempt, part.number): part for part in parts}
    numbers = sorted({number for _, number in wanted})
    connection = reader.connection
    of_series = select(BLOCK).where(BLOCK.c.series_id == parts[0].series)
    of_run = select(CLOCK).where(CLOCK.c.run_id == run)
    own = {
        (row.attempt, row.number): row.payload
        for row in in_chunks(connection, of_series, BLOCK.c.number, numbers)
    }
    shared = select(SPARSE_BLOCK).where(SPARSE_BLOCK.c.run_id == run)
    blocks: dict[tuple[int, int], _Values] = {
        at: partial(_own_values, own.pop(at)) for at in wanted if at in own
    }
    if len(blocks) < len(wanted):
        for row in in_chunks(connection, shared, SPARSE_BLOCK.c.number, numbers):
            if (at := (row.attempt, row.number)) in wanted and at not in blocks:
                blocks[at] = partial(_shared_values, parts[0].series, row.members, row.payload)
    clocks = (
        (key, row.payload)
        for row in in_chunks(connection, of_run, CLOCK.c.number, numbers)
        if (key := (row.attempt, row.number)) in blocks
    )
    yield from _decoded(reader, wanted, blocks, clocks, times)


_Values = Callable[[], tuple[Any, Floats]]
"""Decodes the values of a block, and the calls that they belong to; None for its first ones."""


def _own_values(payload: bytes) -> tuple[Any, Floats]:
    from tracker.series.codec import decode_values

    return decode_values(payload)


def _shared_values(series: int, members: bytes, payload: bytes) -> tuple[Any, Floats]:
    from tracker.series.sparse import decode_shared

    shared = decode_shared(members, payload)
    found = shared.only(shared.series == series)
    return found.rows, found.values


def _decoded(
    reader: Reader,
    wanted: dict[tuple[int, int], StoredPart],
    blocks: dict[tuple[int, int], _Values],
    clocks: Iterable[tuple[tuple[int, int], bytes]],
    times: bool,
) -> Iterator[tuple[StoredPart, Decoded]]:
    from tracker.series.codec import decode_clock, decode_steps

    for key, clock in clocks:
        part = wanted[key]
        with damage_told(reader):
            steps = decode_steps(clock)
            x = decode_clock(clock)[1] if times else steps
            rows, found = blocks[key]()
        chosen = slice(len(found)) if rows is None else rows
        points = Decoded(x[chosen], found)
        if part.cut is not None:
            keep = steps[chosen] < part.cut
            points = Decoded(points.x[keep], points.values[keep])
        yield part, points
