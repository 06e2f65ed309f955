"""Which rows of a table a listing shows: of which runs, by which filter, in which order, how many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, TableClause, func

from tracker.errors import nearest
from tracker.filters.compile import check_limit, condition, ordering
from tracker.filters.fields import Fields
from tracker.filters.parser import parse, parse_order
from tracker.filters.targets import Expression
from tracker.filters.tree import wrong
from tracker.models import RUN
from tracker.queries.first_rows import among_the_first
from tracker.queries.status import dead_runs, status_now
from tracker.storage.chunks import CHUNK, in_chunks
from tracker.storage.database import Reader

Order = str | Iterable[str] | None


class Selection(NamedTuple):
    """What a listing is asked for: ids of runs (None: all), a filter, sort keys, at most so many rows."""

    ids: Sequence[str] | None = None
    where: str | None = None
    order_by: Order = None
    limit: int | None = None

    def check(self) -> None:
        """Refuse what cannot be read, where there is no database to ask for names.

        Raises:
            BadValue: for a limit that is not a number of rows.
            WhereError: for a filter or sort key that cannot be read.
        """
        check_limit(self.limit)
        if self.where is not None:
            parse(self.where)
        if self.order_by is not None:
            parse_order(self.order_by)


def sorted_by_columns(
    rows: list[dict[str, Any]], names: Sequence[str], order_by: Order
) -> list[dict[str, Any]]:
    """Return rows sorted by their own columns, upwards unless a key says otherwise; those without a value come last.

    Raises:
        WhereError: for a sort key that is not one of the names.
    """
    for key in reversed(parse_order(order_by or ())):
        name = key.column
        if name not in names:
            hint = nearest(name, names, most=max(20, len(names)))
            raise wrong(key.text, key.field.at, f"There is no column {name!r}: {hint}")
        known = [row for row in rows if row[name] is not None]
        missing = [row for row in rows if row[name] is None]
        known.sort(key=_by(name), reverse=key.falls)
        rows = known + missing
    return rows


def _by(name: str) -> Callable[[dict[str, Any]], Any]:
    """Return what rows are sorted by: the value of a column, or the text of a list."""
    return lambda row: str(row[name]) if isinstance(row[name], list) else row[name]


def of_run(table: TableClause, order_by: Order) -> ColumnElement[bool]:
    """Return the condition that a row is of the run, for a join in which, without sort keys, the run comes first.

    The rows of the first runs are then found by their index, and none of the others is looked at: a database
    does not look for a run by an expression, so that it never begins with the rows.
    """
    if order_by is not None:
        return table.c.run_id == RUN.c.id
    return table.c.run_id == func.coalesce(RUN.c.id, "")


def selected_rows(
    reader: Reader,
    statement: Select[Any],
    table: TableClause,
    fields: Callable[[Connection, Expression], Fields],
    selection: Selection,
    *order: Any,
) -> list[Any]:
    """Return the rows that are asked for.

    Args:
        reader: an open database that is not empty.
        statement: selects from ``run`` and ``table``, joined by `of_run`.
        table: what is listed; it has a ``run_id``.
        fields: what its filters and sort keys may name.
        selection: which rows.
        order: columns that sort the rows of a run. Without sort keys runs follow each other in the order in
            which they are named, else were started.
    """
    check_limit(selection.limit)
    ids, where, order_by, limit = selection
    names = fields(reader.connection, status_now(dead_runs(reader.connection)))
    test = condition(where, names)
    if test is not None:
        statement = statement.where(test)
    keys = ordering(order_by, names)
    if ids is None and test is None:
        first = among_the_first(reader.connection, statement, table, keys, limit, order)
        if first is not None:
            statement = statement.where(first)
    for place, descending in keys:
        statement = place.sorted(statement, descending)
    statement = statement.order_by(RUN.c.started, RUN.c.id, *order)
    if ids is None:
        return list(reader.connection.execute(statement.limit(limit)))
    most = limit if keys else None
    if len(ids) <= CHUNK:
        statement = statement.where(RUN.c.id.in_(ids)).limit(most)
        rows = list(reader.connection.execute(statement))
    else:
        # One statement does not take so many ids.
        wanted = set(ids)
        every = in_chunks(reader.connection, statement, table.c.run_id, None)
        rows = list(islice((row for row in every if row.run_id in wanted), most))
    if not keys:
        places = {run: place for place, run in enumerate(ids)}
        rows.sort(key=lambda row: places[row.run_id])
    return rows[:limit]
