"""Runs, one row each: what they are, how they ended, their best, restored and last epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from tracker.filters.compile import check_limit, condition, counting, ordering
from tracker.filters.fields import Fields
from tracker.models import FACT, PARAM, RUN, TAG
from tracker.process import lost_reason
from tracker.queries.monitored import NOTHING_RECORDED, BestAndLast, monitored
from tracker.queries.pages import page_of, sorted_by
from tracker.queries.result import (
    ByColumn,
    Column,
    Kind,
    Listing,
    columns,
    common_kind,
    metric_titles,
)
from tracker.queries.selection import Order, Selection
from tracker.queries.status import dead_runs, status_now
from tracker.queries.wide import Cells, Wide
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.directions import Directions

_BEFORE = (
    RUN.c.id, RUN.c.name, RUN.c.experiment, RUN.c.status, RUN.c.started, RUN.c.seconds, RUN.c.epochs,
)  # fmt: skip
_AFTER = RUN.c.ended, RUN.c.reason, RUN.c.error, RUN.c.note
COLUMNS = columns(
    *_BEFORE,
    Column("monitor", "text"), Column("best", "number"), Column("best_epoch", "optional"),
    Column("best_step", "optional"), Column("restored_epoch", "optional"), Column("last", "number"),
    Column("last_epoch", "optional"), Column("last_step", "optional"),
    *_AFTER, Column("parent", "text"),
)  # fmt: skip


_LISTED_SHARE = 4
"""Where less than a fourth of all runs passes, it is counted by a list of them."""


@dataclass(frozen=True)
class _Selected:
    """Rows of ``run``.

    Attributes:
        rows: the columns of `RUN` that `COLUMNS` has, in that order, with the status as it is now.
        dead: of all runs, those whose process is gone: id → its newest attempt.
        keys: the rows' ids; None when they are all runs there are.
        total: how many there are without the limit; None where nobody asked.
    """

    rows: Sequence[Any]
    dead: Mapping[str, Any]
    keys: Sequence[str] | None
    total: int | None


def overview(
    reader: Reader,
    where: str | None = None,
    order_by: Order = None,
    limit: int | None = None,
    ids: Sequence[str] | None = None,
    *,
    with_total: bool = False,
    offset: int = 0,
) -> Listing:
    """Return runs with `COLUMNS`, newest first when nothing else is asked for.

    Args:
        reader: an open database.
        where: a filter (`tracker.filters`).
        order_by: sort keys; runs without the value come last.
        limit: at most so many.
        ids: only these runs.
        with_total: also how many runs there are without the limit.
        offset: leave out so many of the first; the limit counts from there.
    """
    return _overview(reader, Selection(ids, where, order_by, limit), with_total, offset)[0]


def _overview(
    reader: Reader, selection: Selection, with_total: bool = False, offset: int = 0
) -> tuple[Listing, Directions | None]:
    """Return the listing, and which way is better for the metrics of its runs; None without a database."""
    if reader.empty:
        selection.check()
        return Listing(COLUMNS), None
    selected = _select(reader.connection, selection, with_total, offset)
    directions = Directions(reader.connection, selected.keys)
    ids = [run.id for run in selected.rows]
    monitors = monitored(reader.connection, ids, selected.keys, directions)
    rows = [
        _row(run, selected.dead.get(id), monitors.get(id, NOTHING_RECORDED))
        for id, run in zip(ids, selected.rows, strict=True)
    ]
    return Listing(COLUMNS, rows, selected.total), directions


def runs(
    reader: Reader,
    where: str | None = None,
    order_by: Order = None,
    limit: int | None = None,
    ids: Sequence[str] | None = None,
    *,
    with_total: bool = False,
    offset: int = 0,
) -> Listing:
    """Return `overview` with more columns, sorted.

    ``tags.x``, ``params.x``, each metric at its best, and ``captured.x`` but for machine and packages.
    """
    selection = Selection(ids, where, order_by, limit)
    listing, directions = _overview(reader, selection, with_total, offset)
    if directions is None:
        return listing
    is_all = _is_all(selection) and not offset
    wide = Wide(reader.connection, listing.cells("id"), all_runs=is_all)
    tests = [FACT.c.name.not_like(f"{name}%") for name in _NOT_COLUMNS]
    return _widened(
        listing,
        tags=wide.labels(TAG),
        params=wide.labels(PARAM),
        metrics=wide.metrics(directions),
        facts=wide.labels(FACT, *tests),
    )


_NOT_COLUMNS = ("machine.", "packages.", "command", "folder", "checkpoint_folders")
"""Captured facts that tell runs of one experiment apart only by accident; filters know them all the same."""


def _widened(
    listing: Listing, *, tags: Cells, params: Cells, metrics: Cells, facts: Cells
) -> Listing:
    """Return a listing with these columns besides its own."""
    labels = [
        *(f"tags.{name}" for name in tags),
        *(f"params.{name}" for name in params),
        *(f"captured.{name}" for name in facts),
    ]
    titles = metric_titles(metrics, (*listing.names, *labels))
    heads: list[tuple[str, Sequence[Any], Kind | None]] = [
        *((f"tags.{name}", tags[name], "text") for name in sorted(tags)),
        *((f"params.{name}", params[name], None) for name in sorted(params)),
        *((titles[name], metrics[name], "number") for name in sorted(metrics)),
        *((f"captured.{name}", facts[name], None) for name in sorted(facts)),
    ]
    added = [Column(title, kind or common_kind(cells)) for title, cells, kind in heads]
    rows = ByColumn([*listing.by_column(), *(cells for _, cells, _ in heads)])
    return Listing((*listing.columns, *added), rows, listing.total)


def run_ids(
    reader: Reader, where: str | None = None, ids: Sequence[str] | None = None
) -> list[str]:
    """Return the ids of the runs that pass a filter: of ``ids`` in their order, else of all, newest first."""
    if reader.empty:
        return []
    return [run.id for run in _select(reader.connection, Selection(ids, where)).rows]


def _is_all(selection: Selection) -> bool:
    return selection.where is None and selection.limit is None and selection.ids is None


def _select(
    connection: Connection, selection: Selection, with_total: bool = False, offset: int = 0
) -> _Selected:
    ids, where, order_by, limit = selection
    check_limit(limit)
    check_limit(offset)
    dead = dead_runs(connection)
    status = status_now(dead)
    fields = Fields(connection, status)
    stored = *_BEFORE, *_AFTER, RUN.c.parent_id
    labelled = status.label(RUN.c.status.name)
    statement: Select[Any] = select(
        *(labelled if column is RUN.c.status else column for column in stored)
    )
    test = condition(where, fields)
    if test is not None:
        statement = statement.where(test)
    keys = ordering(order_by, fields)
    if ids is None:
        if limit is None:
            rows = connection.execute(sorted_by(statement, keys, every=True)).all()[offset:]
        else:
            rows = page_of(connection, statement, keys, limit, offset, filtered=test is not None)
        total = offset + len(rows)
        if with_total and (len(rows) == limit or (offset and not rows)):
            total = _count(connection, where, status)
    else:
        statement = sorted_by(statement, keys)
        by_id = {run.id: run for run in in_chunks(connection, statement, RUN.c.id, ids)}
        rows = list(by_id.values()) if keys else [by_id[run] for run in ids if run in by_id]
        rows, total = rows[offset:][:limit], len(rows)
    selected = None if _is_all(selection) and not offset else [run.id for run in rows]
    return _Selected(rows, dead, selected, total if with_total else None)


def _count(connection: Connection, where: str | None, status: ColumnElement[str]) -> int:
    """Return how many runs pass a filter.

    All of them are asked for, so that a list of the rows that pass is the quicker way up to far more of them than
    for a page of the first.
    """
    everything = select(func.count()).select_from(RUN)
    total = int(connection.execute(everything).scalar_one())
    if where is not None:
        counted = counting(where, Fields(connection, status))
        if counted is not None and total:
            return int(connection.execute(counted).scalar_one())
    test = condition(where, Fields(connection, status, few=total // _LISTED_SHARE))
    if test is None:
        return total
    return int(connection.execute(everything.where(test)).scalar_one())


def _row(run: Any, lost: Any, monitor: BestAndLast) -> tuple[Any, ...]:
    """Return the cells of a run; ``lost`` is its newest attempt where that is dead."""
    before, after = run[: len(_BEFORE)], run[len(_BEFORE) :]
    if lost is not None:
        after = lost.heartbeat, lost_reason(lost), *after[2:]
    return *before, *monitor, *after
