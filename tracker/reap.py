"""Call dead runs dead, and finish what killed processes left half done."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select, update

from tracker import registry
from tracker.clock import shown
from tracker.database import Database
from tracker.journal import apply
from tracker.location import Location
from tracker.process import is_alive
from tracker.spool import read_file, waiting
from tracker.tables import ATTEMPT, RUN


def dead_attempts(connection: Connection) -> list[Any]:
    """Return the attempts that are called running and whose process is gone."""
    running = connection.execute(select(ATTEMPT).where(ATTEMPT.c.status == "running")).all()
    return [attempt for attempt in running if not is_alive(attempt)]


def reap(connection: Connection) -> list[str]:
    """Mark attempts, and their runs, whose process is gone as lost; returns the runs' ids."""
    lost = []
    for attempt in dead_attempts(connection):
        values = {"status": "lost", "reason": lost_reason(attempt), "ended": attempt.heartbeat}
        connection.execute(update(ATTEMPT).where(ATTEMPT.c.id == attempt.id).values(**values))
        newest = select(func.max(ATTEMPT.c.number)).where(ATTEMPT.c.run_id == attempt.run_id)
        connection.execute(
            update(RUN)
            .where(RUN.c.id == attempt.run_id, newest.scalar_subquery() == attempt.number)
            .values(**values)
        )
        lost.append(attempt.run_id)
    return lost


def lost_reason(attempt: Any) -> str:
    """Say why an attempt counts as lost."""
    return (
        f"process {attempt.pid} on {attempt.host} ended without a word; "
        f"last heard of at {shown(attempt.heartbeat)}"
    )


def settle(location: Location) -> int:
    """Import spools of processes that are gone and settle their checkpoints; returns the entries imported."""
    database = Database(location, patience=10)
    try:
        with database.transaction() as connection:
            imported, done = _adopt(connection, location)
            registry.reconcile(connection, location)
        for path in done:
            path.unlink(missing_ok=True)
    finally:
        database.close()
    return imported


def _adopt(connection: Connection, location: Location) -> tuple[int, list[Any]]:
    done, imported = [], 0
    for path in waiting(location):
        attempt = connection.execute(select(ATTEMPT).where(ATTEMPT.c.id == path.stem)).first()
        if attempt is None or (attempt.status == "running" and is_alive(attempt)):
            continue
        entries = read_file(path)
        apply(connection, entries)
        imported += len(entries)
        done.append(path)
    return imported, done
