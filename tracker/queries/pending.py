"""Records that are pending beside the database, because it could not take them. Reading imports none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

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
        alive: whether the attempt is still being recorded; its process imports them itself.
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
            live = row is not None and is_live(row)
            owner = None if row is None else row.run_id
            pending.append(PendingRecords(path, len(spool.read_file(path)), owner, live))
    return pending
