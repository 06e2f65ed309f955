"""Which runs changed since somebody last looked: what a page that is left open costs, however long it is.

A look at a database where nothing happened is one statement. Where something did, the runs that are recorded as
running are compared with what they were; of the others only new ones are noticed by name. A server says how many rows
of a table were written, up to a second late; what is edited meanwhile, such as a note, is noticed by that.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, and_, column, func, select, table

from tracker.errors import DatabaseBusy, StoreError
from tracker.models import BLOCK, CHECKPOINT, DECISION, EPOCH, PARAM, RUN, SERIES, SPARSE_BLOCK, TAG
from tracker.queries.status import dead_runs
from tracker.states import RunStatus
from tracker.storage.database import Location, Questions

_DEAD_EVERY = 1.0
"""Seconds between two questions to the operating system, whether the processes still live."""
_COUNTS = table(
    "pg_stat_user_tables", *map(column, ("relname", "n_tup_ins", "n_tup_upd", "n_tup_del"))
)
_ROWS_WRITTEN = select(
    func.sum(_COUNTS.c.n_tup_ins + _COUNTS.c.n_tup_upd + _COUNTS.c.n_tup_del)
).where(_COUNTS.c.relname.in_([one.name for one in (RUN, TAG, PARAM, CHECKPOINT)]))
"""What PostgreSQL counts of the tables that people edit, and of no others."""


@dataclass(frozen=True)
class Change:
    """What happened: ids of the runs that changed; ``other`` where something else changed, such as a note."""

    runs: list[str] = field(default_factory=list)
    other: bool = False


class Changes:
    """Looks again and again at one database, over one connection that is kept open."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._questions = Questions(location)
        self._stamp: object = None
        self._runs: dict[str, Any] = {}
        self._dead: frozenset[str] = frozenset()
        self._looked = 0.0
        self._is_readable = True

    def look(self) -> Change | None:
        """Return what changed since the last look; None for nothing. The first look finds everything changed.

        A database that can no longer be read, or is gone, has changed once, and once more when it is back.
        """
        found = None
        try:
            is_readable = self._location.exists()
            if is_readable:
                found = self._questions.ask(self._look)
        except DatabaseBusy:
            return None
        except StoreError:
            is_readable = False
        was_readable, self._is_readable = self._is_readable, is_readable
        if is_readable is was_readable:
            return found
        self._stamp = None
        return Change([] if found is None else found.runs, other=True)

    def _look(self, connection: Connection) -> Change | None:
        stamp = self._stamp_of(connection)
        first, edited = self._stamp is None, stamp != self._stamp
        # A server counts late what was written, so its runs are compared at every look.
        written = edited or first or self._location.path is None
        now = time.monotonic()
        if not written and now - self._looked < _DEAD_EVERY:
            return None
        self._stamp, self._looked = stamp, now
        dead = frozenset(dead_runs(connection))
        changed = dead ^ self._dead
        self._dead = dead
        if not written:
            return Change(sorted(changed)) if changed else None
        runs = _fingerprints(connection)
        changed |= {run for run in {*runs, *self._runs} if runs.get(run) != self._runs.get(run)}
        self._runs = runs
        # Of a server this may be the late count of an epoch that was told: a refresh too many, never one too few.
        other = edited and not changed
        return Change(sorted(changed), other) if changed or other else None

    def _stamp_of(self, connection: Connection) -> object:
        """Return what changes with a commit: SQLite's own count, or a server's of the rows that people edit."""
        if self._location.path is not None:
            return connection.exec_driver_sql("PRAGMA data_version").scalar_one()
        return connection.scalar(_ROWS_WRITTEN)

    def close(self) -> None:
        """Close the connection."""
        self._questions.close()


def _fingerprints(connection: Connection) -> dict[str, Any]:
    """Return what changes with each epoch, decision, file and point of the runs that are recorded as running.

    The newest run is always among them, so that one which began and ended between two looks is seen.
    """
    newest = select(RUN.c.id).order_by(RUN.c.started.desc(), RUN.c.id).limit(1)
    ids = set(connection.scalars(select(RUN.c.id).where(RUN.c.status == RunStatus.RUNNING)))
    ids |= set(connection.scalars(newest))
    found: dict[str, Any] = {}
    for run in ids:
        of_run = RUN.c.id == run
        points = select(func.sum(BLOCK.c.points)).where(
            BLOCK.c.series_id.in_(select(SERIES.c.id).where(SERIES.c.run_id == run))
        )
        statement = select(
            RUN.c.status, RUN.c.epochs, RUN.c.seconds, RUN.c.note, RUN.c.name,
            _highest(EPOCH, EPOCH.c.id, run), _highest(DECISION, DECISION.c.id, run),
            select(func.count()).select_from(CHECKPOINT).where(CHECKPOINT.c.run_id == run).scalar_subquery(),
            points.scalar_subquery(),
            select(func.sum(SPARSE_BLOCK.c.points)).where(SPARSE_BLOCK.c.run_id == run).scalar_subquery(),
        ).where(of_run)  # fmt: skip
        found[run] = tuple(connection.execute(statement).one())
    return found


def _highest(table: Any, column: Any, run: str) -> Any:
    return select(func.max(column)).where(and_(table.c.run_id == run)).scalar_subquery()
