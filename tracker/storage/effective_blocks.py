"""Blocks of step metrics: which are still effective where a resumed run went back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from tracker.models import ATTEMPT, BLOCK
from tracker.storage.chunks import in_chunks

Cuts = dict[int, dict[int, int]]
"""By series and attempt: the step from which on a later attempt has points of its own."""


def cuts_of(connection: Connection, series: Sequence[Any]) -> Cuts:
    """Return where series of resumed runs are cut; samples of the machine (numbers below 0) never are."""
    runs = {metric.run_id for metric in series}
    again = select(ATTEMPT.c.run_id).where(ATTEMPT.c.number > 1)
    resumed = {row.run_id for row in in_chunks(connection, again, ATTEMPT.c.run_id, runs)}
    keys = [metric.id for metric in series if metric.run_id in resumed]
    lowest = (
        select(BLOCK.c.series_id, BLOCK.c.attempt, func.min(BLOCK.c.first_step).label("step"))
        .where(BLOCK.c.number >= 0)
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
