"""Per run and step metric: last, lowest and highest, kept in the transaction that stores the points.

A metric of epochs keeps its summary of epochs (`tracker.storage.summaries`); one of that name whose
points come in addition has none of its own. Those of the machine (``system/``) have none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, case, delete, exists, func, insert, select, tuple_

from tracker.models import BLOCK, CLOCK, OF_STEPS, SERIES, SUMMARY
from tracker.series.blocks import SeriesSummary, summary_of_block
from tracker.series.codec import decode_clock
from tracker.storage.chunks import in_chunks, in_parts
from tracker.storage.effective_blocks import applying, cuts_of, live_blocks
from tracker.storage.statements import upsert
from tracker.system_names import PREFIX, is_system
from tracker.values import split

_OF_TRAINING = SERIES.c.name.not_like(f"{PREFIX}%")


def extend(connection: Connection, run: str, blocks: Mapping[str, SeriesSummary]) -> None:
    """Add to the summaries, by name, what the newest block of each of these series says."""
    rows = [_row(run, name, summary) for name, summary in blocks.items() if not is_system(name)]
    upsert(connection, SUMMARY, rows, ("run_id", "name"), _better, only=OF_STEPS)


def _row(run: str, name: str, summary: SeriesSummary) -> dict[str, Any]:
    last, kind = split(summary.last)
    return {
        "run_id": run,
        "name": name,
        "last": last,
        "last_kind": kind,
        "last_step": summary.last_step,
        "min": summary.min,
        "min_step": summary.min_step,
        "max": summary.max,
        "max_step": summary.max_step,
    }


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


def is_out_of_order(connection: Connection, run: str, attempt: int, number: int) -> bool:
    """Say whether later blocks of calls than this one are stored: an old spool is imported."""
    later = tuple_(CLOCK.c.attempt, CLOCK.c.number) > tuple_(attempt, number)
    statement = select(CLOCK.c.number).where(CLOCK.c.run_id == run, later).limit(1)
    return connection.execute(statement).first() is not None


def superseding(connection: Connection, attempt: int, first_steps: Mapping[int, int]) -> set[int]:
    """Return the series of which an attempt is about to supersede points of earlier ones.

    Call it before the attempt's block is stored.

    Args:
        connection: a transaction.
        attempt: the attempt's number.
        first_steps: the lowest step of each series in the block, by the series' id.
    """
    if attempt == 1:
        return set()
    by_step: dict[int, list[int]] = {}
    for series, step in first_steps.items():
        by_step.setdefault(step, []).append(series)
    of_series = BLOCK.c.series_id == SERIES.c.id
    return {
        series
        for step, ids in by_step.items()
        for some in in_parts(ids)
        for series in connection.scalars(
            select(SERIES.c.id).where(
                SERIES.c.id.in_(some),
                ~exists().where(of_series, BLOCK.c.attempt >= attempt, BLOCK.c.first_step <= step),
                exists().where(of_series, BLOCK.c.attempt < attempt, BLOCK.c.last_step >= step),
            )
        )
    }


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
    if rows:
        connection.execute(insert(SUMMARY), rows)


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
    in_order = select(BLOCK).order_by(BLOCK.c.attempt, BLOCK.c.number)
    clocks = _Clocks(connection, run)
    found: dict[str, SeriesSummary] = {}
    for block in live_blocks(connection, names, cuts, in_order, superseded=False):
        steps = clocks.steps(block.attempt, block.number)
        try:
            piece = (
                None
                if steps is None
                else summary_of_block(block.payload, steps, applying(cuts, block))
            )
        except ValueError:
            continue
        if piece is not None:
            name = names[block.series_id]
            found[name] = found[name].followed_by(piece) if name in found else piece
    return found


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


_COLUMNS = tuple(_row("", "", SeriesSummary(0.0, 0, None, None, None, None)))


def _as_rows(run: str, summaries: Mapping[str, SeriesSummary]) -> dict[str, dict[str, Any]]:
    return {name: _row(run, name, summary) for name, summary in summaries.items()}


def _by_name(rows: Iterable[Any]) -> dict[str, dict[str, Any]]:
    return {row.name: {name: getattr(row, name) for name in _COLUMNS} for row in rows}
