"""Call dead runs dead, and finish what killed processes left half done."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, update

from tracker import files, lifecycle, registry, values
from tracker.database import Database
from tracker.journal import Entry, apply, apply_each, is_refusal
from tracker.location import Location
from tracker.process import is_alive, lost_reason, me
from tracker.run_checkpoints import FOLDERS
from tracker.spool import damaged_lines, read_file, set_aside, waiting
from tracker.tables import ATTEMPT, CHECKPOINT, POLICY, RUN

log = logging.getLogger("tracker")


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
        with database.transaction(alone=True) as connection:
            imported = _import_spools(connection, location)
            registry.reconcile(connection, location)
            dead = dead_attempts(connection)
            folders = {folder for one in dead for folder in _folders(connection, location, one)}
            _mark_lost(connection, dead)
    finally:
        database.close()
    for path in imported:
        path.unlink(missing_ok=True)
        path.with_suffix(".new").unlink(missing_ok=True)
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
    """Apply the spools of processes that are gone; returns the files that nothing is left in."""
    done = []
    for path in waiting(location):
        attempt = connection.execute(select(ATTEMPT).where(ATTEMPT.c.id == path.stem)).first()
        if attempt is None or _is_writing(attempt):
            continue
        size, entries = path.stat().st_size, read_file(path)
        try:
            with connection.begin_nested():
                apply(connection, entries)
            refused = []
        except Exception as error:
            if not is_refusal(error):
                raise
            refused = apply_each(connection, entries)
        _tell(path, refused, damaged_lines(path))
        if path.stat().st_size == size:
            done.append(path)
    return done


def _is_writing(attempt: Any) -> bool:
    """Say whether a process may still append to its spool; our own does so only for its active runs."""
    mine = me()
    if (attempt.boot_id, attempt.pid, attempt.pid_namespace) == (
        mine.boot_id,
        mine.pid,
        mine.pid_namespace,
    ):
        return lifecycle.is_active(attempt.run_id)
    return is_alive(attempt)


def _tell(path: Path, refused: list[tuple[Entry, Exception]], damaged: int) -> None:
    if refused:
        kept = set_aside(path, [entry for entry, _ in refused])
        why = refused[0][1]
        log.warning(
            "local-tracker: %d waiting records were refused (%s): %s", len(refused), why, kept
        )
    if damaged:
        kept = path.with_suffix(".damaged")
        kept.write_bytes(path.read_bytes())
        log.warning("local-tracker: %d waiting records cannot be read: %s", damaged, kept)


def _folders(connection: Connection, location: Location, attempt: Any) -> set[Path]:
    """Return the folders an attempt may have left temporary files in."""
    saved = select(CHECKPOINT.c.path).where(CHECKPOINT.c.run_id == attempt.run_id)
    found = {location.absolute(path).parent for path in connection.execute(saved).scalars()}
    configs = select(POLICY.c.config).where(POLICY.c.run_id == attempt.run_id)
    captured = values.from_json(attempt.captured)
    found |= {location.absolute(folder) for folder in captured.get(FOLDERS, ())}
    worked_in = Path(captured.get("folder") or "/")
    for config in map(values.from_json, connection.execute(configs).scalars()):
        if isinstance(target := config.get("filepath"), str):
            found.add((worked_in / target.partition("{")[0]).parent)
        if isinstance(target := config.get("backup_dir"), str):
            found.add(worked_in / target)
    return found
