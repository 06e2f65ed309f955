"""What is wrong with a database and the files that belong to it, and what can be repaired.

Examining never writes. Repairing imports what processes that are gone could not write, finishes
their pending checkpoints, removes their temporary files, and computes wrong summaries again; it never
deletes a record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, except_, func, or_, select, union
from sqlalchemy.exc import DBAPIError

from tracker.checkpointing.recovery import abandoned_checkpoints
from tracker.errors import StoreError, counted
from tracker.leftovers import leftovers
from tracker.models import EPOCH, METRIC, OF_STEPS, RUN, SUMMARY
from tracker.queries.checkpoints import checkpoints
from tracker.queries.damage import damaged_epochs
from tracker.queries.pending import pending_records, refused_records
from tracker.queries.points import points, runs_with_points
from tracker.queries.status import dead_runs
from tracker.recording.recovery import import_refused, recover, temporary_folders
from tracker.removal import sweep
from tracker.states import CheckpointState
from tracker.storage.database import Location, Reader, open_to_read, reading
from tracker.storage.driver_errors import NOT_TEXT
from tracker.storage.prepare import prepare, writing
from tracker.storage.step_summaries import runs_with_wrong_step_summaries
from tracker.storage.summaries import JUDGED, summarize

_MOST_PROBLEMS = 20
"""Lines of SQLite's ``integrity_check`` that are read."""


class Subject(StrEnum):
    """What is examined, in this order."""

    STRUCTURE = "structure"
    RUNS = "runs"
    PENDING_RECORDS = "pending records"
    CHECKPOINTS = "checkpoints"
    FILES = "files"
    TEMPORARY_FILES = "temporary files"
    EPOCHS = "epochs"
    SUMMARIES = "summaries"
    STEP_METRICS = "step metrics"


_REMEDY = "tracker db doctor --fix"
_REMEDIES = {
    Subject.STRUCTURE: "tracker db doctor --salvage NEW.db",
    Subject.EPOCHS: "only a backup has what was recorded; tracker epochs list and export leave their metrics out",
    Subject.FILES: "tracker checkpoints verify records their state",
    Subject.STEP_METRICS: "their other blocks can be read",
}


@dataclass(frozen=True)
class Finding:
    """The result of one examination.

    Attributes:
        subject: what was examined.
        problem: what is wrong with it, for a person; None where nothing is.
        affected: the ids or paths that the problem is about.
        note: what else to know; it calls for no repair.
    """

    subject: Subject
    problem: str | None = None
    affected: tuple[str, ...] = ()
    note: str | None = None

    @property
    def remedy(self) -> str:
        """What helps against the problem."""
        return _REMEDIES.get(self.subject, _REMEDY)


def examine(location: Location, *, quick: bool = False) -> Iterator[Finding]:
    """Examine one subject after the other; each has one finding, also where nothing is wrong.

    ``quick``: leave out what reads the whole database, about half a minute per gigabyte: the structure, and whether
    epochs, summaries and step metrics are what was recorded.
    """
    damage = None if quick else structure(location)
    if damage is not None:
        yield Finding(Subject.STRUCTURE, damage)
        return
    with reading(location) as reader:
        if reader.empty:
            yield Finding(Subject.STRUCTURE, note="there is no database yet")
            yield _unimported_records(reader)
            return
        if not quick:
            yield Finding(Subject.STRUCTURE)
        of_runs = [_runs, _unimported_records, _checkpoints, _files, _temporary_files]
        of_records = [_epochs, _summaries, _step_metrics]
        for look in of_runs if quick else of_runs + of_records:
            yield look(reader)


def mend(location: Location) -> None:
    """Repair what can be repaired without a loss; call it when `structure` finds no damage."""
    with reading(location) as reader:
        if reader.empty and not (pending_records(reader) or refused_records(reader)):
            return
    prepare(location)
    recover(location)
    import_refused(location)
    with reading(location) as reader:
        wrong = runs_with_wrong_summaries(reader.connection)
        folders = temporary_folders(reader.connection, location)
    for folder in folders:
        sweep(folder)
    if wrong:
        with writing(location) as connection:
            for run in wrong:
                summarize(connection, run)


def structure(location: Location) -> str | None:
    """Say what is wrong with the file itself; None for a server, which checks its own."""
    if location.path is None or not location.exists():
        return None
    try:
        with open_to_read(location) as connection:
            checked = connection.exec_driver_sql(f"PRAGMA integrity_check({_MOST_PROBLEMS})")
            problems = [problem for (problem,) in checked]
            orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    except (DBAPIError, NOT_TEXT) as error:
        return str(error.orig if isinstance(error, DBAPIError) else error)
    if problems != ["ok"]:
        return "; ".join(problems[:3])
    refer = "row refers" if len(orphans) == 1 else "rows refer"
    return f"{len(orphans)} {refer} to a row that does not exist" if orphans else None


def runs_with_wrong_summaries(connection: Connection) -> list[str]:
    """Return the runs whose summaries differ from what their effective epochs, and points, say.

    The database compares; NULL equals NULL there, as None does None.
    """
    effective = (
        select(
            EPOCH.c.run_id,
            METRIC.c.name,
            func.min(METRIC.c.value).label("min"),
            func.max(METRIC.c.value).label("max"),
            func.max(EPOCH.c.epoch).label("last_epoch"),
        )
        .join_from(METRIC, EPOCH, METRIC.c.epoch_id == EPOCH.c.id)
        .where(EPOCH.c.superseded.is_(False))
        .group_by(EPOCH.c.run_id, METRIC.c.name)
        .cte("effective")
    )
    columns = SUMMARY.c
    stored = select(
        columns.run_id, columns.name, columns.min, columns.max, columns.last_epoch
    ).where(~OF_STEPS)
    missing = except_(select(effective), stored).subquery()
    unfounded = except_(stored, select(effective)).subquery()
    wrong = union(select(missing.c.run_id), select(unfounded.c.run_id))
    of_epochs = {row.run_id for row in connection.execute(wrong)}
    copies = [RUN.c[name].is_distinct_from(value) for name, value in JUDGED.items()]
    miscopied = set(connection.scalars(select(RUN.c.id).where(or_(*copies))))
    return sorted(of_epochs | miscopied | runs_with_wrong_step_summaries(connection))


def _runs(reader: Reader) -> Finding:
    dead = tuple(dead_runs(reader.connection))
    are, their = ("is", "its") if len(dead) == 1 else ("are", "their")
    problem = f"{len(dead)} {are} recorded as running, but {their} process is gone"
    return Finding(Subject.RUNS, problem, dead) if dead else Finding(Subject.RUNS)


def _pending_records(reader: Reader) -> Finding:
    """A process that still records imports its own; those that others left are for us to import."""
    found = pending_records(reader)
    pending = [file for file in found if file.run is not None or file.name is not None]
    if not pending and found:
        records = counted(sum(file.records for file in found), "record")
        note = (
            f"{records} without the name of a run; tracker db doctor --fix sets aside what is old"
        )
        return Finding(Subject.PENDING_RECORDS, note=note)
    if not pending:
        return Finding(Subject.PENDING_RECORDS)
    folder = pending[0].path.parent
    abandoned = [file for file in pending if not file.alive]
    if abandoned:
        records = counted(sum(file.records for file in abandoned), "record")
        problem = f"{records} in {counted(len(abandoned), 'file')} of {folder} not imported yet"
        return Finding(
            Subject.PENDING_RECORDS, problem, tuple(str(file.path) for file in abandoned)
        )
    count = sum(file.records for file in pending)
    them = "it" if count == 1 else "them"
    note = f"{counted(count, 'record')} in {folder}; the process that records imports {them} itself"
    return Finding(Subject.PENDING_RECORDS, note=note)


def _unimported_records(reader: Reader) -> Finding:
    """Those that the database has refused are counted with the pending ones; fixing tries them again."""
    pending, refused = _pending_records(reader), refused_records(reader)
    if not refused:
        return pending
    records = counted(sum(file.records for file in refused), "record")
    problem = (
        f"{records} that the database refused, kept in {refused[0].path.parent}: what --fix leaves there is yours "
        f"to read, and to delete"
    )
    if pending.problem is not None:
        problem = f"{pending.problem}; {problem}"
    files = (*pending.affected, *(str(file.path) for file in refused))
    return Finding(Subject.PENDING_RECORDS, problem, files)


def _checkpoints(reader: Reader) -> Finding:
    abandoned = abandoned_checkpoints(reader.connection, reader.location)
    ids = tuple(row.id for rows in abandoned.values() for row in rows)
    were = "1 was" if len(ids) == 1 else f"{len(ids)} were"
    problem = f"{were} being saved or deleted when the process ended"
    return Finding(Subject.CHECKPOINTS, problem, ids) if ids else Finding(Subject.CHECKPOINTS)


def _files(reader: Reader) -> Finding:
    available = checkpoints(reader, states=[CheckpointState.AVAILABLE], as_recorded=True).dicts()
    wrong = tuple(row["path"] for row in available if not _has_size(row["file"], row["bytes"]))
    if not wrong:
        return Finding(Subject.FILES)
    are = "1 is" if len(wrong) == 1 else f"{len(wrong)} are"
    problem = f"{are} missing or of another size, such as {wrong[0]}"
    return Finding(Subject.FILES, problem, wrong)


def _has_size(path: str, size: int) -> bool:
    try:
        return Path(path).stat().st_size == size
    except OSError:
        return False


def _temporary_files(reader: Reader) -> Finding:
    """Those of other hosts may be in use: they are only mentioned."""
    abandoned: list[str] = []
    elsewhere: list[str] = []
    for folder in sorted(temporary_folders(reader.connection, reader.location)):
        ours, others = leftovers(folder)
        abandoned += map(str, ours)
        elsewhere += map(str, others)
    if abandoned:
        problem = f"{len(abandoned)} of processes that are gone, such as {abandoned[0]}"
        return Finding(Subject.TEMPORARY_FILES, problem, tuple(abandoned))
    if elsewhere:
        note = f"{len(elsewhere)} of other machines or containers, such as {elsewhere[0]}"
        return Finding(Subject.TEMPORARY_FILES, note=note)
    return Finding(Subject.TEMPORARY_FILES)


def _epochs(reader: Reader) -> Finding:
    damaged = damaged_epochs(reader.connection)
    if not damaged:
        return Finding(Subject.EPOCHS)
    named = tuple(f"epoch {number} of {run}" for run, number in damaged)
    are = "1 is" if len(named) == 1 else f"{len(named)} are"
    problem = f"{are} not as recorded, such as {named[0]}: the disk has changed a value"
    return Finding(Subject.EPOCHS, problem, named)


def _summaries(reader: Reader) -> Finding:
    wrong = tuple(runs_with_wrong_summaries(reader.connection))
    if not wrong:
        return Finding(Subject.SUMMARIES)
    differ = "1 run differs from its" if len(wrong) == 1 else f"{len(wrong)} runs differ from their"
    return Finding(Subject.SUMMARIES, f"{differ} epochs and points", wrong)


def _step_metrics(reader: Reader) -> Finding:
    damaged: dict[str, str] = {}
    for run in runs_with_points(reader, None):
        try:
            points(reader, [run])
        except StoreError as error:
            damaged[run] = error.problem
    if not damaged:
        return Finding(Subject.STEP_METRICS)
    run, why = next(iter(damaged.items()))
    name = reader.connection.execute(select(RUN.c.name).where(RUN.c.id == run)).scalar()
    have = "1 run has" if len(damaged) == 1 else f"{len(damaged)} runs have"
    problem = f"{have} blocks that cannot be read, such as {name}: {why}"
    return Finding(Subject.STEP_METRICS, problem, tuple(damaged))
