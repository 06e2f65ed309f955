"""Mark dead runs as lost, and finish what killed processes left half done."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, exists, func, or_, select, update

from tracker import values
from tracker.checkpointing.recovery import reconcile, settle
from tracker.checkpointing.store import folder_of
from tracker.clock import now, shown
from tracker.errors import RunBusy, counted
from tracker.models import ATTEMPT, CHECKPOINT, POLICY, RUN
from tracker.process import SILENT_SECONDS, lost_reason, me
from tracker.queries.pending import is_spooling
from tracker.recording import active
from tracker.recording.checkpoints import FOLDERS
from tracker.removal import sweep
from tracker.states import RunStatus
from tracker.storage.chunks import in_chunks, in_parts
from tracker.storage.database import Database
from tracker.storage.entries import Entry
from tracker.storage.journal import apply, apply_each, is_refusal
from tracker.storage.liveness import is_live
from tracker.storage.location import Location
from tracker.storage.neighbours import belong_to_another
from tracker.storage.spool import (
    Spool,
    copy_private,
    damaged_lines,
    origin_of,
    read_file,
    refused_files,
    set_aside,
    spool_files,
)
from tracker.storage.statements import Prepared
from tracker.storage.superseding import hold

log = logging.getLogger("tracker")


_RUNNING = select(ATTEMPT).where(ATTEMPT.c.status == RunStatus.RUNNING)
_LEFT_BEHIND = Prepared(
    select(
        or_(
            exists().where(ATTEMPT.c.status == bindparam("running")),
            exists().where(RUN.c.status == bindparam("running")),
        ),
        exists().where(CHECKPOINT.c.pending.is_(True)),
    )
)
"""Whether an attempt or run is called running, and a checkpoint pending; a start that finds neither mends nothing."""
_WITHOUT_ATTEMPT = and_(
    RUN.c.status == RunStatus.RUNNING, ~exists().where(ATTEMPT.c.run_id == RUN.c.id)
)
"""A run of which somebody has deleted what says by whom it is recorded."""


def dead_attempts(connection: Connection) -> list[Any]:
    """Return the attempts that are recorded as running and whose process is gone."""
    running = connection.execute(_RUNNING).all()
    return [attempt for attempt in running if not is_live(connection, attempt)]


def refuse_busy(connection: Connection, run_id: str, advice: str) -> None:
    """Raise where a run is being recorded.

    Raises:
        RunBusy: names the process, and says ``advice``.
    """
    attempts = (
        select(ATTEMPT, RUN.c.name)
        .join_from(ATTEMPT, RUN, ATTEMPT.c.run_id == RUN.c.id)
        .where(ATTEMPT.c.run_id == run_id)
    )
    for attempt in connection.execute(attempts).all():
        if is_live(connection, attempt):
            raise RunBusy(
                f"The run {attempt.name} ({run_id}) is being recorded by process {attempt.pid} on "
                f"{attempt.host} since {shown(attempt.started)}. {advice}"
            )


def recover(location: Location) -> list[str]:
    """Leave nothing half done by processes that are gone; returns the ids of the runs that are now lost.

    Their spools are imported, pending checkpoints finished by what the files say, temporary files
    swept, attempts and runs marked lost.
    """
    database = Database(location, patience=10)
    try:
        return recover_with(database)
    finally:
        database.close()


def recover_with(database: Database) -> list[str]:
    """Do the same by a handle that stays open."""
    location = database.location
    with database.transaction(alone=True) as connection:
        imported = _import_spools(connection, location)
        running, pending = _LEFT_BEHIND.first(connection, {"running": RunStatus.RUNNING.value})
        if pending:
            reconcile(connection, location)
        dead = dead_attempts(connection) if running else []
        runs = {attempt.run_id for attempt in dead}
        folders = temporary_folders(connection, location, runs) if runs else set()
        _mark_lost(connection, dead)
        bare = _runs_without_attempt(connection) if running else []
    for path in imported:
        path.unlink(missing_ok=True)
        path.with_suffix(".new").unlink(missing_ok=True)
    for folder in folders:
        sweep(folder)
    return [attempt.run_id for attempt in dead] + bare


def _runs_without_attempt(connection: Connection) -> list[str]:
    """Mark the runs lost of which no attempt is left, and return their ids."""
    ids = list(connection.scalars(select(RUN.c.id).where(_WITHOUT_ATTEMPT)))
    change = {"status": RunStatus.LOST, "reason": "its attempts were deleted", "ended": now()}
    for some in in_parts(ids):
        connection.execute(update(RUN).where(RUN.c.id.in_(some)).values(**change))
    return ids


def _mark_lost(connection: Connection, dead: Iterable[Any]) -> None:
    for attempt in dead:
        change = {
            "status": RunStatus.LOST,
            "reason": lost_reason(attempt),
            "ended": attempt.heartbeat,
        }
        connection.execute(update(ATTEMPT).where(ATTEMPT.c.id == attempt.id).values(**change))
        newest = select(func.max(ATTEMPT.c.number)).where(ATTEMPT.c.run_id == attempt.run_id)
        connection.execute(
            update(RUN)
            .where(RUN.c.id == attempt.run_id, newest.scalar_subquery() == attempt.number)
            .values(**change)
        )


def _import_spools(connection: Connection, location: Location) -> list[Path]:
    """Apply the spools of processes that are gone; returns the files that were applied whole."""
    done = []
    for path in spool_files(location):
        try:
            size, entries = path.stat().st_size, read_file(path)
        except FileNotFoundError:
            continue  # another start has imported it
        attempt = connection.execute(select(ATTEMPT).where(ATTEMPT.c.id == path.stem)).first()
        if attempt is None:
            if not _is_ours_to_restore(connection, location, path, entries):
                continue
        elif _is_writing(connection, attempt) or belong_to_another(location, path.stem, entries):
            continue
        if attempt is not None:
            hold(connection, attempt.run_id)
        try:
            with connection.begin_nested():
                apply(connection, entries)
            refused = []
        except Exception as error:
            if not is_refusal(error):
                raise
            refused = apply_each(connection, entries)
        settle(
            connection,
            location,
            {one["row"]["path"] for one in entries if one["kind"] == "checkpoint"},
        )
        try:
            _report(path, entries, refused, damaged_lines(path))
        except OSError as error:
            log.warning(
                "local-tracker: what the database refuses of %s could not be kept beside it (%s): the file stays.",
                path, error.strerror or error,
            )  # fmt: skip
            continue
        with suppress(FileNotFoundError):
            if path.stat().st_size == size:
                done.append(path)
    return done


def import_refused(location: Location) -> None:
    """Try once more what the database has refused: its run, or the release that knows it, may be here now."""
    for path in refused_files(location):
        database = Database(location, patience=10)
        try:
            with database.transaction(alone=True) as connection:
                attempt = connection.execute(
                    select(ATTEMPT).where(ATTEMPT.c.id == path.stem)
                ).first()
                if attempt is not None and _is_writing(connection, attempt):
                    continue
                entries = read_file(path)
                if belong_to_another(location, path.stem, entries):
                    continue
                # Of a run that is not here any more nothing is made again.
                records = [entry for entry in entries if entry["kind"] != "origin"]
                refused = apply_each(connection, records)
            if len(refused) < len(records):
                Spool(path).replace([entry for entry, _ in refused])
        finally:
            database.close()


def _is_ours_to_restore(
    connection: Connection, location: Location, path: Path, entries: list[Entry]
) -> bool:
    """Say whether a spool without an attempt here makes a run of its own; one that cannot is set aside.

    Its database was deleted, or replaced by an older one, while the run was recorded.
    """
    origin = origin_of(entries)
    if origin is None:
        _set_aside_nameless(location, path, entries)
        return False
    attempt = SimpleNamespace(**origin["attempt"])
    if origin["database"] != location.label() or _is_writing(connection, attempt):
        return False
    same_number = (ATTEMPT.c.run_id == attempt.run_id, ATTEMPT.c.number == attempt.number)
    if connection.execute(select(ATTEMPT.c.id).where(*same_number)).first() is not None:
        _set_aside(path, f"attempt {attempt.number} of its run was recorded again")
        return False
    log.warning(
        "local-tracker: run %s was not in the database: it is restored from its pending records (%s).",
        origin["run"]["name"], path,
    )  # fmt: skip
    return True


def _set_aside_nameless(location: Location, path: Path, entries: list[Entry]) -> None:
    """Set a spool aside whose run is not here, and that names none, as early releases wrote it.

    Not while its process may write, nor where another database lies beside this one that may have the run.
    """
    folder = location.data_folder()
    others = [other for other in folder.glob("*.db") if other != location.path]
    try:
        is_old = now() / 1e6 - path.stat().st_mtime > SILENT_SECONDS
    except FileNotFoundError:
        return
    if entries and is_old and not others and location.path is not None:
        _set_aside(path, "the database does not have their run")


def _set_aside(path: Path, why: str) -> None:
    kept = path.with_suffix(".orphaned")
    log.warning(
        "local-tracker: pending records cannot be imported (%s); they are kept in %s.", why, kept
    )
    with suppress(FileNotFoundError):  # another start has set it aside
        path.replace(kept)


def _is_writing(connection: Connection, attempt: Any) -> bool:
    """Say whether a process may still append to its spool; our own does so only for its active runs."""
    mine = me()
    if (attempt.boot_id, attempt.pid, attempt.pid_namespace) == (
        mine.boot_id,
        mine.pid,
        mine.pid_namespace,
    ):
        return active.is_active(attempt.run_id)
    return is_live(connection, attempt) or is_spooling(connection, attempt)


def _report(
    path: Path, entries: list[Entry], refused: list[tuple[Entry, Exception]], damaged: int
) -> None:
    if refused:
        kept = set_aside(path, [entry for entry, _ in refused], origin_of(entries))
        why = refused[0][1]
        records = counted(len(refused), "pending record")
        log.warning("local-tracker: %s could not be imported (%s): %s", records, why, kept)
    if damaged:
        kept = path.with_suffix(".damaged")
        copy_private(path, kept)
        records = counted(damaged, "pending record")
        log.warning("local-tracker: %s cannot be read: %s", records, kept)


def temporary_folders(
    connection: Connection, location: Location, runs: Collection[str] | None = None
) -> set[Path]:
    """Return the folders that runs (None: all) may have left temporary files in."""

    def rows(statement: Select[Any], column: Any) -> Iterator[Any]:
        return in_chunks(connection, statement, column, runs)

    saved = rows(select(CHECKPOINT.c.path).distinct(), CHECKPOINT.c.run_id)
    stored = {posixpath.dirname(row.path) for row in saved}
    targets: dict[str, set[tuple[str, str]]] = {}
    read = lru_cache(_CONFIGS)(values.object_in)
    policies = select(POLICY.c.run_id, POLICY.c.config).where(_HAS_TARGET)
    for row in rows(policies, POLICY.c.run_id):
        config = read(row.config)
        found = {(key, config[key]) for key in _TARGETS if isinstance(config.get(key), str)}
        targets.setdefault(row.run_id, set()).update(found)
    places: set[tuple[str, str, str]] = set()
    attempts = select(ATTEMPT.c.run_id, ATTEMPT.c.captured).where(_HAS_FOLDERS)
    for row in rows(attempts, ATTEMPT.c.run_id):
        captured = values.object_in(row.captured)
        stored.update(captured.get(FOLDERS, ()))
        folder = captured.get("folder") or "/"
        places |= {(folder, *target) for target in targets.get(row.run_id, ())}
    return {folder_of(location), *map(location.absolute, stored), *map(_folder_of_target, places)}


_TARGETS = "filepath", "backup_dir"
"""What policies call the place they write to: a file's path, perhaps with placeholders, and a folder."""
_CONFIGS = 1024
"""Configurations that are kept as they were read: most runs of a sweep have the same."""
_HAS_TARGET = or_(*(POLICY.c.config.contains(f'"{key}"') for key in _TARGETS))
_HAS_FOLDERS = or_(
    ATTEMPT.c.captured.contains(f'"{FOLDERS}"'),
    exists().where(POLICY.c.run_id == ATTEMPT.c.run_id, _HAS_TARGET),
)
"""The database leaves out what names no folder, which is most of what a hundred thousand runs have captured."""


def _folder_of_target(place: tuple[str, str, str]) -> Path:
    folder, key, target = place
    if key == "backup_dir":
        return Path(folder, target)
    # The first placeholder may stand for the whole name of the file.
    return Path(folder, f"{target.partition('{')[0]}x").parent
