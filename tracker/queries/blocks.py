"""What the stored blocks of a run's step metrics say without being read whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, select

from tracker.models import BLOCK, CLOCK, SERIES, SPARSE_BLOCK
from tracker.storage.database import Reader
from tracker.storage.effective_blocks import (
    Cuts,
    applying,
    cuts_of,
    live_blocks,
    shared_counts,
    with_sparse_points,
)
from tracker.system_names import PREFIX

_OF_TRAINING = SERIES.c.name.not_like(f"{PREFIX}%")


def point_counts(reader: Reader, run: str) -> dict[str, int]:
    """Return how many points of each step metric a run has, without superseded ones; reads few blocks."""
    series = list(
        reader.connection.execute(
            select(SERIES).where(SERIES.c.run_id == run, _OF_TRAINING).order_by(SERIES.c.id)
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
    for key, points in _shared_counts(reader.connection, run, series, cuts).items():
        counts[key] += points
    return {metric.name: counts[metric.id] for metric in series}


def _shared_counts(
    connection: Connection, run: str, series: Sequence[Any], cuts: Cuts
) -> Counter[int]:
    """Count the effective points in sparse blocks, by series; those of a run that was never resumed are not decoded."""
    counts = shared_counts(connection, run)
    if not (counts and cuts):
        return counts
    from tracker.storage.sparse_blocks import live_points

    live = live_points(connection, run, [metric.id for metric in series], cuts)
    return Counter(key for _, points in live for key in points.series.tolist())


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
    of_run = BLOCK.c.series_id.in_(select(SERIES.c.id).where(SERIES.c.run_id == run, _OF_TRAINING))
    keys = (BLOCK.c.series_id, BLOCK.c.attempt, BLOCK.c.number)
    ranked = select(*keys, newest.label("place")).where(of_run).subquery()
    statement = (
        select(SERIES.c.id, SERIES.c.name, BLOCK.c.attempt, BLOCK.c.number, BLOCK.c.payload)
        .join_from(SERIES, BLOCK, BLOCK.c.series_id == SERIES.c.id)
        .join(ranked, and_(*(ranked.c[key.name] == key for key in keys)))
        .where(ranked.c.place == 1)
    )
    rows = reader.connection.execute(statement).all()
    newest_own = {row.id: (row.attempt, row.number) for row in rows}
    found = {row.name: _last_value(row.payload) for row in rows}
    return found | _last_shared(reader.connection, run, newest_own)


def _last_shared(
    connection: Connection, run: str, newest_own: Mapping[int, tuple[int, int]]
) -> dict[str, float | None]:
    """Return last values that lie in sparse blocks; ``newest_own`` has each series' newest block of its own."""
    of_run = select(SERIES.c.id, SERIES.c.name).where(SERIES.c.run_id == run, _OF_TRAINING)
    names = {row.id: row.name for row in connection.execute(of_run)}
    waiting = with_sparse_points(connection, names)
    found: dict[str, float | None] = {}
    columns = SPARSE_BLOCK.c
    newest_first = (
        select(columns.attempt, columns.number, columns.members, columns.payload)
        .where(columns.run_id == run)
        .order_by(columns.attempt.desc(), columns.number.desc())
    )
    for row in connection.execute(newest_first) if waiting else ():
        for key, value in _last_of_each(row.members, row.payload):
            if key not in waiting:
                continue
            waiting.remove(key)
            if (row.attempt, row.number) > newest_own.get(key, (0, 0)):
                found[names[key]] = value
        if not waiting:
            break
    return found


def _last_of_each(members: bytes, payload: bytes) -> list[tuple[int, float]]:
    from tracker.series.sparse import decode_shared

    try:
        shared = decode_shared(members, payload)
    except ValueError:
        return []
    last = shared.values[shared.counts.cumsum() - 1]
    return list(zip(shared.series.tolist(), last.tolist(), strict=True))


def _last_value(payload: bytes) -> float | None:
    from tracker.series.codec import decode_values

    try:
        _, values = decode_values(payload)
    except ValueError:
        return None
    return float(values[-1]) if len(values) else None
