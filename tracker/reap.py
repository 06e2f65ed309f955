"""Call dead runs dead, and finish what killed processes left half done."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, update

from tracker import files, registry, values
from tracker.database import Database
from tracker.journal import apply
from tracker.location import Location
from tracker.process import is_alive, lost_reason
from tracker.spool import read_file, waiting
from tracker.tables import ATTEMPT, CHECKPOINT, POLICY, RUN


def dead_attempts(connection: Connection) -> list[Any]:
    """Return the attempts that are called running and whose process is gone."""
    running = connection.execute(select(ATTEMPT).where(ATTEMPT.c.status == "running")).all()
    return [attempt for attempt in running if not is_alive(attempt)]


def settle(location: Location) -> list[str]:
    """Leave nothing half done by processes that are gone; returns the ids of the runs now called lost.

    Their spools are imported, pending checkpoints settled by what the files say, temporary files
    swept, attempts and runs marked lost.
    """
    database = Database(location, patience=10)
    try:
        with database.transaction() as connection:
            imported = _import_spools(connection, location)
            registry.reconcile(connection, location)
            dead = dead_attempts(connection)
            folders = {folder for one in dead for folder in _folders(connection, location, one)}
            _mark_lost(connection, dead)
    finally:
        database.close()
    for path in imported:
        path.unlink(missing_ok=True)
    for folder in folders:
        files.sweep(folder)
    return [attempt.run_id for attempt in dead]


def _mark_lost(connection: Connection, dead: Iterable[Any]) -> None:
    for attempt in dead:
        change = {"status": "lost", "reason": lost_reason(attempt), "ended": attempt.heartbeat}
        connection.execute(update(ATTEMPT).where(ATTEMPT.c.id == attempt.id).values(**change))
        newest = select(func.max(ATTEMPT.c.number)).where(ATTEMPT.c.run_id == attempt.run_id)
        connection.execute(
            update(RUN)
            .where(RUN.c.id == attempt.run_id, newest.scalar_subquery() == attempt.number)
            .values(**change)
        )


def _import_spools(connection: Connection, location: Location) -> list[Path]:
    done = []
    for path in waiting(location):
        attempt = connection.execute(select(ATTEMPT).where(ATTEMPT.c.id == path.stem)).first()
        if attempt is not None and not (attempt.status == "running" and is_alive(attempt)):
            apply(connection, read_file(path))
            done.append(path)
    return done


def _folders(connection: Connection, location: Location, attempt: Any) -> set[Path]:
    """Return the folders an attempt may have left temporary files in."""
    saved = select(CHECKPOINT.c.path).where(CHECKPOINT.c.run_id == attempt.run_id)
    found = {location.absolute(path).parent for path in connection.execute(saved).scalars()}
    configs = select(POLICY.c.config).where(POLICY.c.run_id == attempt.run_id)
    worked_in = Path(values.from_json(attempt.captured).get("folder", "/"))
    for config in map(values.from_json, connection.execute(configs).scalars()):
        if isinstance(target := config.get("filepath"), str):
            found.add((worked_in / target.partition("{")[0]).parent)
        if isinstance(target := config.get("backup_dir"), str):
            found.add(worked_in / target)
    return found
