"""Records that are pending beside the database, because it could not take them. Reading imports none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, select

from tracker import process
from tracker.models import ATTEMPT
from tracker.storage import spool
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Location, Reader
from tracker.storage.entries import Entry, OriginEntry
from tracker.storage.liveness import is_live
from tracker.storage.neighbours import belong_to_another


@dataclass(frozen=True)
class PendingRecords:
    """The records of one attempt that are pending in a file.

    Attributes:
        path: the file.
        records: how many of them can be read.
        run: the id of the run that they belong to; None where this database does not have the attempt.
        alive: whether its process still records the run; then it imports them itself.
        name: what a run is called that this database does not have.
    """

    path: Path
    records: int
    run: str | None
    alive: bool
    name: str | None = None


def pending_records(reader: Reader, run: str | None = None) -> list[PendingRecords]:
    """Return what is pending, the oldest file first; with ``run``, an id, of that run only."""
    files = {path.stem: path for path in spool.spool_files(reader.location)}
    attempts = {} if reader.empty else _attempts(reader.connection, list(files))
    pending = []
    for attempt, path in files.items():
        entries, row = spool.read_file(path), attempts.get(attempt)
        records = _count(entries)
        if row is None:
            origin = spool.origin_of(entries)
            if run is None and (lost := _of_lost_run(reader.location, path, records, origin)):
                pending.append(lost)
        elif run in {None, row.run_id} and not belong_to_another(reader.location, attempt, entries):
            alive = is_spooling(reader.connection, row)
            pending.append(PendingRecords(path, records, row.run_id, alive))
    return pending


@dataclass(frozen=True)
class RefusedRecords:
    """The records of one attempt that the database has refused, in a file; ``run`` as in `PendingRecords`."""

    path: Path
    records: int
    run: str | None


def refused_records(reader: Reader, run: str | None = None) -> list[RefusedRecords]:
    """Return what the database has refused, the oldest file first; with ``run``, an id, of that run only."""
    files = {path.stem: path for path in spool.refused_files(reader.location)}
    attempts = {} if reader.empty else _attempts(reader.connection, list(files))
    found = []
    for attempt, path in files.items():
        entries = spool.read_file(path)
        if not belong_to_another(reader.location, attempt, entries):
            of_run = attempts[attempt].run_id if attempt in attempts else None
            found.append(RefusedRecords(path, _count(entries), of_run))
    return [file for file in found if file.records and run in {None, file.run}]


def _count(entries: list[Entry]) -> int:
    """Count the records among entries: all but the origin, which says whose they are."""
    return sum(entry["kind"] != "origin" for entry in entries)


def _attempts(connection: Connection, ids: list[str]) -> dict[str, Any]:
    return {row.id: row for row in in_chunks(connection, select(ATTEMPT), ATTEMPT.c.id, ids)}


def _of_lost_run(
    location: Location, path: Path, records: int, origin: OriginEntry | None
) -> PendingRecords | None:
    """Return the pending records of a run that this database has lost; None for those of another database."""
    if origin is None:
        return PendingRecords(path, records, None, alive=False) if records else None
    if origin["database"] != location.label():
        return None
    alive = process.is_live(SimpleNamespace(**origin["attempt"]))
    return PendingRecords(path, records, None, alive, origin["run"]["name"])


def is_spooling(connection: Connection, attempt: Any) -> bool:
    """Say whether a process may still append to the spool that is named after an attempt (a row).

    A process that rewinds its run keeps the spool of its first attempt, which has ended then.
    """
    of_process = (
        ATTEMPT.c.run_id == attempt.run_id,
        ATTEMPT.c.boot_id == attempt.boot_id,
        ATTEMPT.c.pid_namespace == attempt.pid_namespace,
        ATTEMPT.c.pid == attempt.pid,
        ATTEMPT.c.process_started == attempt.process_started,
    )
    return any(
        is_live(connection, row) for row in connection.execute(select(ATTEMPT).where(*of_process))
    )
