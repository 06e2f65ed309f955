"""Records that are pending beside the database, because it could not take them. Reading imports none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from tracker.models import ATTEMPT
from tracker.process import is_live
from tracker.storage import spool
from tracker.storage.database import Reader


@dataclass(frozen=True)
class PendingRecords:
    """The records of one attempt that are pending in a file.

    Attributes:
        path: the file.
        records: how many of them can be read.
        run: the id of the run that they belong to; None where this database does not have the attempt.
        alive: whether its process still records the run; then it imports them itself.
    """

    path: Path
    records: int
    run: str | None
    alive: bool


def pending_records(reader: Reader, run: str | None = None) -> list[PendingRecords]:
    """Return what is pending, the oldest file first; with ``run``, an id, of that run only."""
    files = {path.stem: path for path in spool.spool_files(reader.location)}
    if not files or reader.empty:
        return []
    rows = reader.connection.execute(select(ATTEMPT).where(ATTEMPT.c.id.in_(list(files))))
    attempts = {row.id: row for row in rows}
    pending = []
    for attempt, path in files.items():
        row = attempts.get(attempt)
        if run is None or (row is not None and row.run_id == run):
            live = row is not None and is_spooling(reader.connection, row)
            owner = None if row is None else row.run_id
            pending.append(PendingRecords(path, len(spool.read_file(path)), owner, live))
    return pending


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
    return any(is_live(row) for row in connection.execute(select(ATTEMPT).where(*of_process)))
