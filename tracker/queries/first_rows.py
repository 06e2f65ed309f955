"""Which rows come first in a listing that is sorted by a value of their own: found before anything is joined."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, TableClause, func, select
from sqlalchemy.sql import visitors

from tracker.filters.targets import MetricPlace, Place, asks
from tracker.models import EPOCH, OF_STEPS, RUN, SUMMARY
from tracker.storage.chunks import CHUNK

Key = tuple[Place, bool]
"""A sort key: where its value is found, and whether it falls."""


def among_the_first(
    connection: Connection,
    statement: Select[Any],
    table: TableClause,
    keys: Sequence[Key],
    limit: int | None,
    order: Sequence[ColumnElement[Any]],
) -> ColumnElement[bool] | None:
    """Return a condition that the first rows pass, and few others; None where it takes all rows to say.

    Args:
        connection: a read transaction.
        statement: selects all rows there are, joined with their runs.
        table: what is listed; it has an ``id`` and a ``run_id``.
        keys: what the rows are sorted by, before the start of their run.
        limit: how many rows are wanted.
        order: what sorts the rows of a run.
    """
    own = [] if statement.whereclause is None else [statement.whereclause]
    if not keys or not limit or limit > CHUNK or not all(_is_of(test, table) for test in own):
        return None
    (place, falls), *others = keys
    if isinstance(place, MetricPlace):
        is_effective = any(asks(test, EPOCH.c.superseded) for test in own)
        return _of_best_runs(connection, place, falls, limit) if is_effective else None
    column = place.column
    if type(place) is not Place or not isinstance(column, Column):
        return None
    by_run = _run_by_run(table, own)
    if column.table is RUN and place.certain and not others:
        by_run = place.sorted(by_run, falls).order_by(RUN.c.started, RUN.c.id, *order)
        return table.c.id.in_(list(connection.scalars(by_run.limit(limit))))
    if column.table is not table:
        return None
    by_value = column.desc() if falls else column.asc()
    sorted_rows = select(table.c.id, column.label("value"))
    sorted_rows = sorted_rows.where(column.is_not(None)).order_by(by_value)
    assert isinstance(table, Table)
    is_indexed = any(column in index.columns.values() for index in table.indexes)
    rows, end = _first_values(connection, sorted_rows, own, limit, is_indexed=is_indexed)
    # Rows without a value come last, and are equal.
    last = rows[limit - 1].value if len(rows) >= limit else None
    before = [row.id for row in takewhile(lambda row: row.value != last, rows)]
    equal = [row.id for row in rows if row.value == last]
    if last is None or end == last:
        # There are more equal ones than were read: the first of them are those of the first runs.
        if others:
            return None
        is_equal = column.is_(None) if last is None else column == last
        by_run = by_run.where(is_equal).order_by(RUN.c.started, RUN.c.id, *order)
        equal = list(connection.scalars(by_run.limit(limit - len(before))))
    return table.c.id.in_([*before, *equal])


def _first_values(
    connection: Connection,
    statement: Select[Any],
    own: Sequence[ColumnElement[bool]],
    limit: int,
    *,
    is_indexed: bool,
) -> tuple[Sequence[Any], Any]:
    """Return the first rows that pass (``id``, ``value``), and the value that more of them may have, if any.

    Where an index has the values, it alone is read, and what else is asked of a row only of the first.
    """
    rows: Sequence[Any]
    if own and is_indexed:
        rows = connection.execute(statement.limit(CHUNK)).all()
        id_ = statement.selected_columns.id
        test = select(id_).where(id_.in_([row.id for row in rows]), *own)
        passing = set(connection.scalars(test))
        passed = [row for row in rows if row.id in passing]
        if len(rows) < CHUNK or len(passed) >= limit:
            return passed, rows[-1].value if len(rows) == CHUNK else None
    rows = connection.execute(statement.where(*own).limit(CHUNK + 1)).all()
    return rows, rows[-1].value if len(rows) > CHUNK else None


def _run_by_run(table: TableClause, own: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """Return the statement for ids of rows, which are looked for run by run: see `selection.of_run`."""
    link = table.c.run_id == func.coalesce(RUN.c.id, "")
    return select(table.c.id).join_from(RUN, table, link).where(*own)


def _of_best_runs(
    connection: Connection, place: MetricPlace, falls: bool, limit: int
) -> ColumnElement[bool] | None:
    """Return the condition that an epoch is of one of the runs whose own best values come first.

    So many runs have that many epochs, and the others none that comes before them.
    """
    value = SUMMARY.c.max if falls else SUMMARY.c.min
    of_metric = [SUMMARY.c.name == place.name, value.is_not(None), ~OF_STEPS]
    by_value = value.desc() if falls else value.asc()
    best = connection.scalar(
        select(value).where(*of_metric).order_by(by_value).limit(1).offset(limit - 1)
    )
    if best is None:
        return None
    runs = select(SUMMARY.c.run_id).where(*of_metric, value >= best if falls else value <= best)
    some = list(connection.scalars(runs.limit(CHUNK + 1)))
    return RUN.c.id.in_(some) if len(some) <= CHUNK else None


def _is_of(test: ColumnElement[bool], table: TableClause) -> bool:
    return all(part.table is table for part in visitors.iterate(test) if isinstance(part, Column))
