"""Blocks of step metrics: which are still effective where a resumed run went back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from tracker.models import ATTEMPT, BLOCK, SERIES, SPARSE_BLOCK, SPARSE_SPAN
from tracker.storage.chunks import in_chunks

Cuts = dict[int, dict[int, int]]
"""By series and attempt: the step from which on a later attempt has points of its own."""


def cuts_of(connection: Connection, series: Sequence[Any]) -> Cuts:
    """Return where series of resumed runs are cut; samples of the machine (numbers below 0) never are."""
    runs = {metric.run_id for metric in series}
    again = select(ATTEMPT.c.run_id).where(ATTEMPT.c.number > 1)
    resumed = {row.run_id for row in in_chunks(connection, again, ATTEMPT.c.run_id, runs)}
    keys = [metric.id for metric in series if metric.run_id in resumed]
    lowest = _lowest_steps(connection, keys)
    cuts: Cuts = {}
    least: dict[int, int] = {}
    for (key, attempt), step in sorted(lowest.items(), reverse=True):
        if key in least:
            cuts.setdefault(key, {})[attempt] = least[key]
        least[key] = min(step, least.get(key, step))
    return cuts


def _lowest_steps(connection: Connection, keys: Sequence[int]) -> dict[tuple[int, int], int]:
    """Return the lowest step by series and attempt, of blocks of their own and of shared ones."""
    of_blocks = (
        select(BLOCK.c.series_id, BLOCK.c.attempt, func.min(BLOCK.c.first_step).label("step"))
        .where(BLOCK.c.number >= 0)
        .group_by(BLOCK.c.series_id, BLOCK.c.attempt)
    )
    spans = SPARSE_SPAN.c
    of_spans = select(spans.series_id, spans.attempt, spans.first_step.label("step"))
    lowest: dict[tuple[int, int], int] = {}
    for row in chain(
        in_chunks(connection, of_blocks, BLOCK.c.series_id, keys),
        in_chunks(connection, of_spans, spans.series_id, keys),
    ):
        key = row.series_id, row.attempt
        lowest[key] = min(row.step, lowest.get(key, row.step))
    return lowest


def with_blocks(connection: Connection, runs: Iterable[str]) -> set[int]:
    """Return the series of runs, by id, that have blocks of their own: of thousands of names most may have none."""
    statement = select(SERIES.c.id).where(exists().where(BLOCK.c.series_id == SERIES.c.id))
    return {row.id for row in in_chunks(connection, statement, SERIES.c.run_id, runs)}


def with_sparse_points(connection: Connection, series: Iterable[int]) -> set[int]:
    """Return those of the series, by id, that have points in sparse blocks."""
    statement = select(SPARSE_SPAN.c.series_id).distinct()
    return {
        row.series_id for row in in_chunks(connection, statement, SPARSE_SPAN.c.series_id, series)
    }


def shared_counts(connection: Connection, run: str) -> Counter[int]:
    """Count the points of each series in the sparse blocks of a run, superseded ones, too; damaged blocks have none."""
    members = select(SPARSE_BLOCK.c.members).where(SPARSE_BLOCK.c.run_id == run)
    blocks = list(connection.scalars(members))
    counts: Counter[int] = Counter()
    if not blocks:
        return counts
    from tracker.series.codec import decode_members

    for block in blocks:
        with suppress(ValueError):
            series, points = decode_members(block)
            counts.update(dict(zip(series.tolist(), points.tolist(), strict=True)))
    return counts


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
    uncut: list[int] = []
    cut_short: list[int] = []
    for key in keys:
        (cut_short if key in cuts and not superseded else uncut).append(key)
    yield from in_chunks(connection, statement, BLOCK.c.series_id, uncut)
    for key in cut_short:
        live: list[ColumnElement[bool]] = [BLOCK.c.attempt.not_in(list(cuts[key]))]
        live += [
            and_(BLOCK.c.attempt == attempt, BLOCK.c.first_step < cut)
            for attempt, cut in cuts[key].items()
        ]
        yield from connection.execute(statement.where(BLOCK.c.series_id == key, or_(*live)))
