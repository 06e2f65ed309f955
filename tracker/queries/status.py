"""The status as it is, not as a process that was killed left it. Reading never writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, case, select
from sqlalchemy.sql.elements import ColumnElement

from tracker.models import ATTEMPT, RUN
from tracker.process import is_alive

_LITERAL_FROM = (
    500  # more ids than that are written into the statement, which takes few bound values
)


def dead_runs(connection: Connection) -> dict[str, Any]:
    """Return the runs that are called running and whose process is gone: id → its newest attempt."""
    rows = connection.execute(
        select(ATTEMPT)
        .join_from(RUN, ATTEMPT, ATTEMPT.c.run_id == RUN.c.id)
        .where(RUN.c.status == "running")
        .order_by(ATTEMPT.c.number)
    )
    newest = {attempt.run_id: attempt for attempt in rows}
    return {
        run: attempt
        for run, attempt in newest.items()
        if attempt.status == "lost" or (attempt.status == "running" and not is_alive(attempt))
    }


def status_now(dead: Mapping[str, Any]) -> ColumnElement[str]:
    """Return the status as an expression, with the dead runs as lost."""
    status: ColumnElement[str] = RUN.c.status
    if not dead:
        return status
    ids = RUN.c.id.in_(list(dead))
    if len(dead) > _LITERAL_FROM:
        from sqlalchemy import bindparam

        ids = RUN.c.id.in_(bindparam("dead", list(dead), expanding=True, literal_execute=True))
    return case((ids, "lost"), else_=status)
