"""`tracker.session`: the user's own questions, in SQLModel or SQL. Reading never writes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlmodel import Session

from tracker.errors import UsageError
from tracker.models import Table
from tracker.storage.database import reading

_READ_ONLY_STATE = "25006"  # https://www.postgresql.org/docs/current/errcodes-appendix.html
_PRIMARY_CODE = (
    0xFF  # https://www.sqlite.org/rescode.html#primary_result_codes_versus_extended_result_codes
)


@contextmanager
def session(database: str | os.PathLike[str] | None = None) -> Iterator[Session]:
    """Open a session that reads everything recorded, with the classes of `tracker.models`.

        from sqlmodel import select
        from tracker.models import Run

        with tracker.session() as session:
            for run in session.exec(select(Run).where(Run.status == "failed")):
                print(run.name, run.error)

    The session sees one moment of the database and waits for nobody who writes. Where nothing has been recorded yet,
    every table is there and empty. What the columns mean is in docs/schema.md.

    Args:
        database: a path or URL; as everywhere, the nearest database by default.

    Raises:
        UsageError: for a statement that would change something.
        NotATrackerDatabase, DatabaseTooNew, DatabaseTooOld: see `tracker.errors`.
    """
    with reading(database) as reader, ExitStack() as opened:
        connection = opened.enter_context(_empty()) if reader.empty else reader.connection
        event.listen(connection.engine, "handle_error", _refuse_writing)
        yield opened.enter_context(Session(connection, expire_on_commit=False))


@contextmanager
def _empty() -> Iterator[Connection]:
    """Yield a connection to tables without rows."""
    with create_engine("sqlite://").connect() as connection:
        Table.metadata.create_all(connection)
        connection.commit()
        connection.exec_driver_sql("PRAGMA query_only=ON")
        yield connection


def _refuse_writing(context: ExceptionContext) -> None:
    error = context.original_exception
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
        writes = code == sqlite3.SQLITE_READONLY
    else:
        writes = getattr(error, "sqlstate", None) == _READ_ONLY_STATE
    if writes:
        raise UsageError(
            "tracker.session() only reads. To change what is recorded, use tracker runs tag, note, rename or "
            "delete, tracker checkpoints pin or prune, or a run's own methods."
        ) from error
