"""Records that wait beside the database, because it could not take them. Reading imports none of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from tracker.models import ATTEMPT
from tracker.process import is_alive
from tracker.storage import spool
from tracker.storage.database import Reader


@dataclass(frozen=True)
class Waiting:
    """The records of one attempt that wait in a file.

    Attributes:
        path: the file.
        records: how many there are that can be read.
        run: the id of the run that they belong to; None where this database does not know the attempt.
        alive: whether the process that writes them lives; it imports them itself.
    """

    path: Path
    records: int
    run: str | None
    alive: bool


def waiting(reader: Reader, run: str | None = None) -> list[Waiting]:
    """Return what waits, the oldest file first; with ``run``, an id, of that run only."""
    files = {path.stem: path for path in spool.spool_files(reader.location)}
    if not files or reader.empty:
        return []
    rows = reader.connection.execute(select(ATTEMPT).where(ATTEMPT.c.id.in_(list(files))))
    known = {row.id: row for row in rows}
    found = []
    for name, path in files.items():
        row = known.get(name)
        if run is None or (row is not None and row.run_id == run):
            alive = row is not None and row.status == "running" and is_alive(row)
            owner = None if row is None else row.run_id
            found.append(Waiting(path, len(spool.read_file(path)), owner, alive))
    return found
