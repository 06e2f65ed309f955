"""How many runs there are per experiment, status, or any other field."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from tracker.filters.compile import condition
from tracker.filters.fields import Fields
from tracker.filters.parser import parse_order
from tracker.filters.targets import PARAMETER, LabelPlace
from tracker.filters.tree import wrong
from tracker.models import RUN
from tracker.queries.result import Column, Listing
from tracker.queries.status import dead_runs, status_now
from tracker.storage.database import Reader

COLUMNS = (
    Column("value", "any"), Column("runs", "integer"), Column("running", "integer"),
    Column("seconds", "number"), Column("started", "time"),
)  # fmt: skip


def groups(reader: Reader, by: str, where: str | None = None, limit: int = 1000) -> Listing:
    """Count runs per value of a field: the newest group first.

    ``started`` is when the newest run of the group was started, ``seconds`` the sum over its runs.

    Raises:
        WhereError: for a filter or a field that cannot be read, or is not known.
    """
    keys = parse_order([by])
    if len(keys) != 1:
        raise wrong(
            by, 0, "Runs are grouped by one field: name it, such as experiment or params.lr."
        )
    key = keys[0]
    if reader.empty:
        return Listing(COLUMNS)
    connection = reader.connection
    status = status_now(dead_runs(connection))
    fields = Fields(connection, status)
    place = fields.find(key.field)
    if place is None:
        raise wrong(key.text, key.field.at, fields.unknown(key.field))
    value: Any = place.column
    if isinstance(place, LabelPlace) and place.kind == PARAMETER:
        columns = place.table.c
        value = (
            select(columns.text)
            .where(columns.run_id == RUN.c.id, columns.name == place.name)
            .scalar_subquery()
        )
    grouped = select(value.label("value"), RUN.c.seconds, RUN.c.started, status.label("status"))
    test = condition(where, fields)
    if test is not None:
        grouped = grouped.where(test)
    rows = grouped.subquery().c
    statement = (
        select(
            rows.value,
            func.count().label("runs"),
            func.sum(func.coalesce(_is_running(rows.status), 0)).label("running"),
            func.sum(rows.seconds).label("seconds"),
            func.max(rows.started).label("started"),
        )
        .group_by(rows.value)
        .order_by(func.max(rows.started).desc())
        .limit(limit)
    )
    found = (row._mapping for row in connection.execute(statement))
    return Listing.from_dicts(COLUMNS, found)  # type: ignore[arg-type]


def _is_running(status: Any) -> Any:
    from sqlalchemy import case

    return case((status == "running", 1), else_=0)
