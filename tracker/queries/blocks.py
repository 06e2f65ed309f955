"""Blocks of step metrics: which are still effective where a resumed run went back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from tracker.models import ATTEMPT, BLOCK, CLOCK, SERIES
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader

Cuts = dict[int, dict[int, int]]
"""By series and attempt: the step from which on a later attempt has points of its own."""


def cuts_of(connection: Connection, series: Sequence[Any]) -> Cuts:
    """Return where series of resumed runs are cut."""
    runs = {metric.run_id for metric in series}
    again = select(ATTEMPT.c.run_id).where(ATTEMPT.c.number > 1)
    resumed = {row.run_id for row in in_chunks(connection, again, ATTEMPT.c.run_id, runs)}
    keys = [metric.id for metric in series if metric.run_id in resumed]
    lowest = (
        select(BLOCK.c.series_id, BLOCK.c.attempt, func.min(BLOCK.c.first_step).label("step"))
        .group_by(BLOCK.c.series_id, BLOCK.c.attempt)
        .order_by(BLOCK.c.attempt.desc())
    )
    cuts: Cuts = {}
    least: dict[int, int] = {}
    for row in in_chunks(connection, lowest, BLOCK.c.series_id, keys):
        if row.series_id in least:
            cuts.setdefault(row.series_id, {})[row.attempt] = least[row.series_id]
        least[row.series_id] = min(row.step, least.get(row.series_id, row.step))
    return cuts


def applying(cuts: Cuts, block: Any) -> int | None:
    """Return the step from which on a block is superseded; None where it is not."""
    cut = cuts.get(block.series_id, {}).get(block.attempt)
    return cut if cut is not None and cut <= block.last_step else None


def live_blocks(
    connection: Connection,
    keys: Iterable[int],
    cuts: Cuts,
    statement: Select[Any],
    superseded: bool,
) -> Iterator[Any]:
    """Yield the rows of series' blocks; wholly superseded ones only if ``superseded``."""
    uncut = [key for key in keys if superseded or key not in cuts]
    yield from in_chunks(connection, statement, BLOCK.c.series_id, uncut)
    for key in () if superseded else cuts:
        live: list[ColumnElement[bool]] = [BLOCK.c.attempt.not_in(list(cuts[key]))]
        live += [
            and_(BLOCK.c.attempt == attempt, BLOCK.c.first_step < cut)
            for attempt, cut in cuts[key].items()
        ]
        yield from connection.execute(statement.where(BLOCK.c.series_id == key, or_(*live)))


def point_counts(reader: Reader, run: str) -> dict[str, int]:
    """Return how many points of each step metric a run has, without superseded ones; reads few blocks."""
    series = list(
        reader.connection.execute(
            select(SERIES).where(SERIES.c.run_id == run).order_by(SERIES.c.id)
        )
    )
    cuts = cuts_of(reader.connection, series)
    counts = {metric.id: 0 for metric in series}
    statement = select(
        BLOCK.c.series_id, BLOCK.c.attempt, BLOCK.c.number, BLOCK.c.points, BLOCK.c.last_step
    )
    for block in live_blocks(reader.connection, counts, cuts, statement, superseded=False):
        cut = applying(cuts, block)
        counts[block.series_id] += (
            block.points if cut is None else _points_below(reader.connection, run, block, cut)
        )
    return {metric.name: counts[metric.id] for metric in series}


def _points_below(connection: Connection, run: str, block: Any, cut: int) -> int:
    """Count a block's points below a step."""
    from tracker.series.assemble import StoredBlock, StoredClock, assemble

    at = block.attempt, block.number
    values = select(BLOCK.c.payload).where(
        BLOCK.c.series_id == block.series_id, BLOCK.c.attempt == at[0], BLOCK.c.number == at[1]
    )
    clock = select(CLOCK.c.payload).where(
        CLOCK.c.run_id == run, CLOCK.c.attempt == at[0], CLOCK.c.number == at[1]
    )
    stored = StoredBlock(0, 0, *at, block.points, connection.execute(values).scalar_one())
    clocks = [StoredClock(0, *at, connection.execute(clock).scalar_one())]
    return len(assemble([stored], clocks, stop=cut).step)


def last_points(reader: Reader, run: str) -> dict[str, float | None]:
    """Return the last value of each step metric, by name; only its newest block is decoded."""
    newest = func.row_number().over(
        partition_by=BLOCK.c.series_id, order_by=[BLOCK.c.attempt.desc(), BLOCK.c.number.desc()]
    )
    of_run = BLOCK.c.series_id.in_(select(SERIES.c.id).where(SERIES.c.run_id == run))
    keys = (BLOCK.c.series_id, BLOCK.c.attempt, BLOCK.c.number)
    ranked = select(*keys, newest.label("place")).where(of_run).subquery()
    statement = (
        select(SERIES.c.name, BLOCK.c.payload)
        .join_from(SERIES, BLOCK, BLOCK.c.series_id == SERIES.c.id)
        .join(ranked, and_(*(ranked.c[key.name] == key for key in keys)))
        .where(ranked.c.place == 1)
    )
    rows = reader.connection.execute(statement)
    return {row.name: _last_value(row.payload) for row in rows}


def _last_value(payload: bytes) -> float | None:
    from tracker.series.codec import decode_values

    try:
        _, values = decode_values(payload)
    except ValueError:
        return None
    return float(values[-1]) if len(values) else None
