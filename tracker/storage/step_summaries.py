"""Per run and step metric: last, lowest and highest, kept in the transaction that stores the points.

A metric of epochs keeps its summary of epochs (`tracker.storage.summaries`); one of that name whose
points come in addition has none of its own. Those of the machine (``system/``) have none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import repeat
from operator import itemgetter
from typing import Any

import numpy as np
from sqlalchemy import Connection, and_, case, delete, exists, func, insert, select, tuple_

from tracker.models import BLOCK, CLOCK, OF_STEPS, SERIES, SPARSE_SPAN, SUMMARY
from tracker.series.blocks import SeriesSummary, summary_of_block
from tracker.series.codec import decode_clock
from tracker.series.sparse import Extremes, SeriesPoints, grouped, joined
from tracker.storage.chunks import in_chunks, in_parts
from tracker.storage.effective_blocks import (
    Cuts,
    applying,
    cuts_of,
    live_blocks,
    with_sparse_points,
)
from tracker.storage.sparse_blocks import live_points
from tracker.storage.statements import Prepared, Row, upserting
from tracker.system_names import PREFIX, is_system
from tracker.values import split

_OF_TRAINING = SERIES.c.name.not_like(f"{PREFIX}%")


def extend(connection: Connection, run: str, blocks: Mapping[str, SeriesSummary]) -> None:
    """Add to the summaries, by name, what the newest block of each of these series says."""
    rows = [_row(run, name, summary) for name, summary in blocks.items() if not is_system(name)]
    _EXTEND.run_each(connection, rows)


def extend_each(connection: Connection, run: str, names: Sequence[str], extremes: Extremes) -> None:
    """Do as `extend` does, with what the newest block says of each of these names."""
    lasts, kinds = zip(*map(split, extremes.last), strict=True) if names else ((), ())
    columns = zip(repeat(run), names, lasts, kinds, *extremes[1:], strict=False)
    rows = [row for row in columns if not is_system(row[1])]
    _EXTEND.run_each(connection, rows)


_COLUMNS = (
    "run_id", "name", "last", "last_kind", "last_step", "min", "min_step", "max", "max_step",
)  # fmt: skip


def _row(run: str, name: str, summary: SeriesSummary) -> Row:
    last, kind = split(summary.last)
    return (run, name, last, kind, *summary[1:])


def _better(new: Mapping[str, Any]) -> dict[str, Any]:
    """Give the SQL that keeps what is lower or higher; NULL (a NaN) never wins."""
    old = SUMMARY.c
    lower = and_(new["min"].is_not(None), func.coalesce(new["min"] < old.min, True))
    higher = and_(new["max"].is_not(None), func.coalesce(new["max"] > old.max, True))
    return {
        "last": new["last"],
        "last_kind": new["last_kind"],
        "last_step": new["last_step"],
        "min": case((lower, new["min"]), else_=old.min),
        "min_step": case((lower, new["min_step"]), else_=old.min_step),
        "max": case((higher, new["max"]), else_=old.max),
        "max_step": case((higher, new["max_step"]), else_=old.max_step),
    }


_ADD = Prepared(insert(SUMMARY), _COLUMNS)
_EXTEND = upserting(SUMMARY, _COLUMNS, ("run_id", "name"), _better, only=OF_STEPS)


def is_out_of_order(connection: Connection, run: str, attempt: int, number: int) -> bool:
    """Say whether later blocks of calls than this one are stored: an old spool is imported."""
    later = tuple_(CLOCK.c.attempt, CLOCK.c.number) > tuple_(attempt, number)
    statement = select(CLOCK.c.number).where(CLOCK.c.run_id == run, later).limit(1)
    return connection.execute(statement).first() is not None


def superseding(
    connection: Connection, run: str, attempt: int, first_steps: Mapping[int, int]
) -> set[int]:
    """Return the series of which an attempt is about to supersede points of earlier ones.

    Call it before the attempt's blocks are stored.

    Args:
        connection: a transaction.
        run: the id of the run.
        attempt: the attempt's number.
        first_steps: the lowest step of each series in the blocks, by the series' id.
    """
    reached = connection.scalar(
        select(func.max(CLOCK.c.last_step)).where(
            CLOCK.c.run_id == run, CLOCK.c.attempt < attempt, CLOCK.c.number >= 0
        )
    )
    lower = {
        key: step for key, step in first_steps.items() if reached is not None and step <= reached
    }
    earlier, present = _spans_around(connection, attempt, lower)
    lower = {key: step for key, step in lower.items() if present.get(key, step + 1) > step}
    found = {key for key, step in lower.items() if earlier.get(key, step - 1) >= step}
    for key, is_known, is_passed in _among_blocks(connection, attempt, lower):
        if is_known:
            found.discard(key)
        elif is_passed:
            found.add(key)
    return found


def _spans_around(
    connection: Connection, attempt: int, series: Iterable[int]
) -> tuple[dict[int, int], dict[int, int]]:
    """Return, of sparse points, the highest step before an attempt and the lowest from it on, by series."""
    earlier: dict[int, int] = {}
    present: dict[int, int] = {}
    for row in in_chunks(connection, select(SPARSE_SPAN), SPARSE_SPAN.c.series_id, series):
        key = row.series_id
        if row.attempt < attempt:
            earlier[key] = max(row.last_step, earlier.get(key, row.last_step))
        else:
            present[key] = min(row.first_step, present.get(key, row.first_step))
    return earlier, present


def _among_blocks(
    connection: Connection, attempt: int, first_steps: Mapping[int, int]
) -> Iterator[tuple[int, bool, bool]]:
    """Yield the series that have blocks of their own: has the attempt been as low, was an earlier one as high?"""
    has_own = select(SERIES.c.id).where(exists().where(BLOCK.c.series_id == SERIES.c.id))
    by_step: dict[int, list[int]] = {}
    for row in in_chunks(connection, has_own, SERIES.c.id, first_steps):
        by_step.setdefault(first_steps[row.id], []).append(row.id)
    of_series = BLOCK.c.series_id == SERIES.c.id
    for step, ids in by_step.items():
        as_low = exists().where(of_series, BLOCK.c.attempt >= attempt, BLOCK.c.first_step <= step)
        as_high = exists().where(of_series, BLOCK.c.attempt < attempt, BLOCK.c.last_step >= step)
        statement = select(SERIES.c.id, as_low.label("as_low"), as_high.label("as_high"))
        for row in in_chunks(connection, statement, SERIES.c.id, ids):
            yield row.id, bool(row.as_low), bool(row.as_high)


def rebuild(connection: Connection, run: str, names: Collection[str] | None = None) -> None:
    """Compute the summaries of a run's step metrics again, from its blocks; of all that no epoch has, or of these."""
    of_epochs = select(SUMMARY.c.name).where(SUMMARY.c.run_id == run, ~OF_STEPS)
    statement = select(SERIES).where(
        SERIES.c.run_id == run, SERIES.c.name.not_in(of_epochs), _OF_TRAINING
    )
    series = list(in_chunks(connection, statement, SERIES.c.name, names))
    stale = delete(SUMMARY).where(SUMMARY.c.run_id == run, OF_STEPS)
    for some in [None] if names is None else in_parts(list(names)):
        connection.execute(stale if some is None else stale.where(SUMMARY.c.name.in_(some)))
    rows = [_row(run, name, summary) for name, summary in of_blocks(connection, series).items()]
    _ADD.run_each(connection, rows)


def rebuild_all(connection: Connection) -> None:
    """Compute the summaries of every run's step metrics, as `rebuild` does."""
    for run in list(connection.scalars(select(SERIES.c.run_id).distinct())):
        rebuild(connection, run)


def of_blocks(connection: Connection, series: Sequence[Any]) -> dict[str, SeriesSummary]:
    """Return what the effective points of some series of one run amount to, by name; damaged blocks are left out.

    Args:
        connection: a transaction.
        series: rows of `SERIES`.
    """
    if not series:
        return {}
    run, names = series[0].run_id, {row.id: row.name for row in series}
    cuts = cuts_of(connection, series)
    shared = with_sparse_points(connection, names)
    found: dict[int, SeriesSummary] = {}
    of_both: dict[int, list[tuple[tuple[int, int], SeriesSummary]]] = {}
    for key, at, piece in _own_pieces(connection, run, names, cuts):
        if key in shared:
            of_both.setdefault(key, []).append((at, piece))
        else:
            add_piece(found, key, piece)
    for key, at, piece in _shared_pieces(connection, run, shared, cuts, of_both):
        if key in of_both:
            of_both[key].append((at, piece))
        else:
            add_piece(found, key, piece)
    for key, pieces in of_both.items():
        for _, piece in sorted(pieces, key=itemgetter(0)):
            add_piece(found, key, piece)
    return {names[key]: summary for key, summary in found.items()}


def add_piece(found: dict[int, SeriesSummary], key: int, piece: SeriesSummary | None) -> None:
    """Add what the next part of a series amounts to; None for nothing."""
    if piece is not None:
        before = found.get(key)
        found[key] = piece if before is None else before.followed_by(piece)


_Piece = tuple[int, tuple[int, int], SeriesSummary]
"""A series, the attempt and number of a block, and what this has of it."""
_AT_ONCE = 1 << 20


def _own_pieces(
    connection: Connection, run: str, series: Iterable[int], cuts: Cuts
) -> Iterator[_Piece]:
    """Yield what the blocks of single series amount to, in their order."""
    in_order = select(BLOCK).order_by(BLOCK.c.attempt, BLOCK.c.number)
    clocks = _Clocks(connection, run)
    for block in live_blocks(connection, series, cuts, in_order, superseded=False):
        steps = clocks.steps(block.attempt, block.number)
        if steps is None:
            continue
        with suppress(ValueError):
            piece = summary_of_block(block.payload, steps, applying(cuts, block))
            if piece is not None:
                yield block.series_id, (block.attempt, block.number), piece


def _shared_pieces(
    connection: Connection, run: str, series: Collection[int], cuts: Cuts, single: Collection[int]
) -> Iterator[_Piece]:
    """Yield what sparse blocks amount to: block by block of ``single`` series, of others a million points at once."""
    if not series:
        return
    alone = list(single)
    waiting: list[SeriesPoints] = []
    at = 0, 0
    for at, points in live_points(connection, run, series, cuts):
        is_single = np.isin(points.series, alone)
        for key, piece in grouped(points.at(is_single)).summaries().items():
            yield key, at, piece
        waiting.append(points.at(~is_single))
        if sum(len(some.series) for some in waiting) >= _AT_ONCE:
            for key, piece in grouped(joined(waiting)).summaries().items():
                yield key, at, piece
            waiting = []
    for key, piece in grouped(joined(waiting)).summaries().items():
        yield key, at, piece


class _Clocks:
    """The steps of one run's blocks of calls; those asked for last are kept."""

    def __init__(self, connection: Connection, run: str) -> None:
        self._connection = connection
        self._run = run
        self._key: tuple[int, int] | None = None
        self._steps: Any = None

    def steps(self, attempt: int, number: int) -> Any:
        """Return the steps of a block's calls; None where they are missing or damaged."""
        if self._key != (attempt, number):
            self._key, self._steps = (attempt, number), self._read(attempt, number)
        return self._steps

    def _read(self, attempt: int, number: int) -> Any:
        payload = self._connection.scalar(
            select(CLOCK.c.payload).where(
                CLOCK.c.run_id == self._run,
                CLOCK.c.attempt == attempt,
                CLOCK.c.number == number,
            )
        )
        try:
            return None if payload is None else decode_clock(payload)[0]
        except ValueError:
            return None


def runs_with_wrong_step_summaries(connection: Connection) -> set[str]:
    """Return the runs whose summaries of step metrics differ from what their blocks say."""
    of_epochs = {
        (row.run_id, row.name)
        for row in connection.execute(select(SUMMARY.c.run_id, SUMMARY.c.name).where(~OF_STEPS))
    }
    series: dict[str, list[Any]] = {}
    in_order = select(SERIES).where(_OF_TRAINING).order_by(SERIES.c.run_id, SERIES.c.id)
    for row in connection.execute(in_order):
        if (row.run_id, row.name) not in of_epochs:
            series.setdefault(row.run_id, []).append(row)
    stored: dict[str, list[Any]] = {}
    of_training = SUMMARY.c.name.not_like(f"{PREFIX}%")
    for row in connection.execute(select(SUMMARY).where(OF_STEPS, of_training)):
        stored.setdefault(row.run_id, []).append(row)
    return {
        run
        for run in series.keys() | stored.keys()
        if _as_rows(run, of_blocks(connection, series.get(run, ())))
        != _by_name(stored.get(run, ()))
    }


def _as_rows(run: str, summaries: Mapping[str, SeriesSummary]) -> dict[str, Row]:
    return {name: _row(run, name, summary) for name, summary in summaries.items()}


def _by_name(rows: Iterable[Any]) -> dict[str, Row]:
    return {row.name: tuple(getattr(row, name) for name in _COLUMNS) for row in rows}
