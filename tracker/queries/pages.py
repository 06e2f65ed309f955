"""One page of a sorted listing of runs, wherever it lies: what comes before it is not read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, func, select

from tracker.filters.targets import LabelPlace, Place, SummaryPlace
from tracker.models import PARAM, RUN, SUMMARY, TAG
from tracker.storage.chunks import in_chunks

Keys = Sequence[tuple[Place, bool]]
"""Where each sort key is found, and whether it falls."""

_NEAR = 1000
"""Rows that are skipped one by one; from there on, by the values of an index."""

_WALKED = 5000
"""Rows of an index that are asked one by one whether their run passes a filter."""


def page_of(
    connection: Connection,
    statement: Select[Any],
    keys: Keys,
    limit: int,
    offset: int,
    *,
    filtered: bool,
) -> list[Any]:
    """Return the rows of `RUN` that a page shows.

    Args:
        connection: a read transaction.
        statement: selects all rows there are, unsorted.
        keys: what they are sorted by, before the time of their start.
        limit, offset: the page.
        filtered: whether the statement leaves out some runs.
    """
    rows: list[Any] = []
    if not keys and filtered:
        rows = _among_the_newest(connection, statement, limit, offset)
    elif not keys and offset > _NEAR:
        return _by_start(connection, statement, limit, offset)
    elif keys and (index := _index_of(keys[0][0])) is not None:
        rows = _by_index(connection, statement, keys, index, limit, offset, filtered=filtered)
    if len(rows) == limit:
        return rows
    # Only the ids are sorted: what a run has besides is more than a sort should carry.
    ids = statement.with_only_columns(RUN.c.id)
    if not keys and filtered:
        # The newest are not enough.
        ids = sorted_by(ids, keys, every=True).limit(limit)
    else:
        if keys and isinstance(keys[0][0], SummaryPlace | LabelPlace):
            # Any id; so that SQLite reads the runs as they lie, and not one by one in the order of some index: none
            # of theirs has the order of another table.
            ids = ids.where(RUN.c.id >= "")
        ids = sorted_by(ids, keys).limit(limit)
    wanted = list(connection.scalars(ids.offset(offset) if offset else ids))
    by_id = {row.id: row for row in in_chunks(connection, statement, RUN.c.id, wanted)}
    return [by_id[run] for run in wanted]


def sorted_by(statement: Select[Any], keys: Keys, *, every: bool = False) -> Select[Any]:
    """Return a statement sorted by keys; runs that they do not tell apart, the newest first.

    ``every``: all runs are wanted. They are read as they lie, and then sorted, by an expression: in the order of an
    index they would be looked up one by one.
    """
    for place, descending in keys:
        statement = place.sorted(statement, descending)
    started: ColumnElement[Any] = func.coalesce(RUN.c.started, 0) if every else RUN.c.started
    return statement.order_by(started.desc(), RUN.c.id)


def _among_the_newest(
    connection: Connection, statement: Select[Any], limit: int, offset: int
) -> list[Any]:
    """Return the page, the newest first, as far as the newest `_WALKED` runs fill it."""
    beyond = select(RUN.c.started).order_by(RUN.c.started.desc()).limit(1).offset(_WALKED)
    if (bound := connection.scalar(beyond)) is not None:
        statement = statement.where(RUN.c.started > bound)
    return list(connection.execute(sorted_by(statement, ()).limit(limit).offset(offset)))


def _by_start(connection: Connection, statement: Select[Any], limit: int, offset: int) -> list[Any]:
    """Return a page of all runs, the newest first: the index alone says with which start the page begins."""
    started = RUN.c.started
    first = connection.scalar(select(started).order_by(started.desc()).limit(1).offset(offset))
    if first is None:
        return []
    newer = select(func.count()).select_from(RUN).where(started > first)
    offset -= connection.execute(newer).scalar_one()
    page = sorted_by(statement.where(started <= first), ())
    return list(connection.execute(page.limit(limit).offset(offset)))


def _index_of(place: Place) -> tuple[Table, ColumnElement[Any]] | None:
    """Return the table and the column whose index has the order of a metric, param or tag; None where none has."""
    if isinstance(place, SummaryPlace):
        value = place.summarized
        return (SUMMARY, value) if value.name in ("min", "max", "last") else None
    if isinstance(place, LabelPlace) and place.table is PARAM:
        return PARAM, PARAM.c.number
    if isinstance(place, LabelPlace) and place.table is TAG:
        return TAG, TAG.c.value
    return None


def _by_index(
    connection: Connection,
    statement: Select[Any],
    keys: Keys,
    index: tuple[Table, ColumnElement[Any]],
    limit: int,
    offset: int,
    *,
    filtered: bool,
) -> list[Any]:
    """Return the page as far as runs that have a value fill it."""
    (place, descending), *others = keys
    assert isinstance(place, SummaryPlace | LabelPlace)
    table, value = index
    of_name = [table.c.name == place.name, value.is_not(None)]
    order = value.desc() if descending else value.asc()
    link = and_(table.c.run_id == RUN.c.id, *of_name)
    ordered = statement.join_from(RUN, table, link).order_by(order)
    if table is PARAM:
        text = PARAM.c.text
        ordered = ordered.order_by(text.desc() if descending else text.asc())
    if filtered:
        # Where few runs pass, and none of the first, to sort all that pass is quicker than to walk on.
        beyond = select(value).where(*of_name).order_by(order).limit(1).offset(_WALKED)
        if (bound := connection.scalar(beyond)) is not None:
            ordered = ordered.where(value > bound if descending else value < bound)
    elif offset > _NEAR:
        # The index alone says which value the page begins with, and how many come before that value.
        at = select(value).where(*of_name).order_by(order).limit(1).offset(offset)
        first = connection.scalar(at)
        if first is None:
            return []
        before = value > first if descending else value < first
        count = select(func.count()).select_from(table).where(*of_name, before)
        offset -= connection.execute(count).scalar_one()
        ordered = ordered.where(value <= first if descending else value >= first)
    return list(connection.execute(sorted_by(ordered, others).limit(limit).offset(offset)))
