"""One step metric of one run, block by block: what a chart that is zoomed and followed reads.

A full block is final, so that whoever keeps decoded blocks reads only what is new, or what a zoom shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from tracker.errors import StoreError, UnknownMetric, nearest
from tracker.models import BLOCK, CLOCK, SERIES
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.effective_blocks import applying, cuts_of, live_blocks
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
    rows = live_blocks(connection, [wanted[0].id], cuts, statement, superseded=False)
    return sorted(
        StoredPart(
            row.series_id, row.attempt, row.number, row.points, row.first_step, row.last_step,
            applying(cuts, row),
        )
        for row in rows
    )  # fmt: skip


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
    blocks = {
        (row.attempt, row.number): row.payload
        for row in in_chunks(connection, of_series, BLOCK.c.number, numbers)
        if (row.attempt, row.number) in wanted
    }
    clocks = (
        (key, row.payload)
        for row in in_chunks(connection, of_run, CLOCK.c.number, numbers)
        if (key := (row.attempt, row.number)) in blocks
    )
    yield from _decoded(reader, wanted, blocks, clocks, times)


def _decoded(
    reader: Reader,
    wanted: dict[tuple[int, int], StoredPart],
    blocks: dict[tuple[int, int], bytes],
    clocks: Iterable[tuple[tuple[int, int], bytes]],
    times: bool,
) -> Iterator[tuple[StoredPart, Decoded]]:
    from tracker.series.codec import decode_clock, decode_steps, decode_values

    for key, clock in clocks:
        part = wanted[key]
        try:
            steps = decode_steps(clock)
            x = decode_clock(clock)[1] if times else steps
            rows, found = decode_values(blocks[key])
        except ValueError as error:
            raise StoreError(
                f"{error} Look at the database with: tracker db doctor --database {reader.location}",
                problem=str(error),
            ) from error
        chosen = slice(len(found)) if rows is None else rows
        points = Decoded(x[chosen], found)
        if part.cut is not None:
            keep = steps[chosen] < part.cut
            points = Decoded(points.x[keep], points.values[keep])
        yield part, points
