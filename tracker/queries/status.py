"""The status as it is now, not as a killed process left it. Reading never writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, case, select
from sqlalchemy.sql.elements import ColumnElement

from tracker.models import ATTEMPT, RUN
from tracker.states import RunStatus
from tracker.storage.database import Reader
from tracker.storage.liveness import is_live

_MOST_BOUND = 500
"""More ids than that are written into the statement: a database takes a limited number of bound values."""


def dead_runs(connection: Connection) -> dict[str, Any]:
    """Return the runs that are recorded as running and whose process is gone: id → its newest attempt."""
    rows = connection.execute(
        select(ATTEMPT)
        .join_from(RUN, ATTEMPT, ATTEMPT.c.run_id == RUN.c.id)
        .where(RUN.c.status == RunStatus.RUNNING)
        .order_by(ATTEMPT.c.number)
    )
    newest = {attempt.run_id: attempt for attempt in rows}
    return {run: attempt for run, attempt in newest.items() if is_dead(connection, attempt)}


def running_runs(reader: Reader, ids: Sequence[str] | None = None) -> list[str]:
    """Return the ids of the runs that are being recorded: of ``ids`` in their order, else of all, newest first."""
    if reader.empty:
        return []
    connection = reader.connection
    recorded = select(RUN.c.id).where(RUN.c.status == RunStatus.RUNNING)
    newest_first = connection.scalars(recorded.order_by(RUN.c.started.desc(), RUN.c.id)).all()
    dead = dead_runs(connection)
    running = dict.fromkeys(run for run in newest_first if run not in dead)
    return list(running) if ids is None else [run for run in ids if run in running]


def is_dead(connection: Connection, newest: Any) -> bool:
    """Say whether the process of a run that is recorded as running is gone, by its newest attempt."""
    return newest.status in (RunStatus.RUNNING, RunStatus.LOST) and not is_live(connection, newest)


def status_now(dead: Mapping[str, Any]) -> ColumnElement[str]:
    """Return the status as an expression, with the dead runs as lost."""
    status: ColumnElement[str] = RUN.c.status
    if not dead:
        return status
    ids = RUN.c.id.in_(list(dead))
    if len(dead) > _MOST_BOUND:
        from sqlalchemy import bindparam

        ids = RUN.c.id.in_(bindparam("dead", list(dead), expanding=True, literal_execute=True))
    return case((ids, RunStatus.LOST.value), else_=status)
