"""Open a database; the only place that begins and commits a transaction.

SQLite facts this rests on, all measured: a deferred BEGIN that becomes a write fails at once whatever
the timeout (so: ``BEGIN IMMEDIATE``); WAL with ``synchronous=NORMAL`` loses acknowledged commits at
power loss (so: FULL); releases before 3.51.3 have a rare corruption when two connections write or
checkpoint at the same instant (so: writes and closes go under a lock file of our own).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from tracker import schema
from tracker.errors import DatabaseBusy, NotATrackerDatabase, NotWritable, StoreError
from tracker.location import Location, locate

PATIENCE = 1.5  # seconds a write waits for others; a call of ours never takes more than 2

__all__ = ["Database", "Location", "Reader", "locate", "reading", "writing"]


class Database:
    """A writer's handle: one connection, one lock file. Not shared between threads without a lock."""

    def __init__(self, location: Location, patience: float = PATIENCE) -> None:
        self.location = location
        self._patience = patience
        self._engine = _engine(location, "rw", patience)
        self._lock = file_lock(location, patience)
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection inside one transaction: committed and on disk at the end, or rolled back.

        Raises:
            DatabaseBusy: when others held the write lock for longer than the patience.
            StoreError: when the database cannot be reached or written.
        """
        with translated(self.location), self._lock:
            if self.location.path is not None and not self.location.path.exists():
                self.forget()
                raise StoreError(f"The database file {self.location} has gone.")
            connection = self._connected()
            try:
                with connection.begin():
                    yield connection
            except DBAPIError as error:
                if error.connection_invalidated or not isinstance(error.orig, sqlite3.Error):
                    self._drop()
                raise

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def close(self) -> None:
        """Close under the lock: the last one to close a WAL database checkpoints it."""
        try:
            with self._lock:
                self._drop()
        except (Timeout, OSError):
            self._drop()

    def forget(self) -> None:
        """Leave the connection alone without closing it: after a fork it belongs to the parent."""
        if self._connection is not None:
            _leaked.append(self._connection)
            self._connection = None
        self._lock = file_lock(self.location, self._patience)


_leaked: list[Connection] = []


@dataclass(frozen=True)
class Reader:
    """A read transaction; ``connection`` is None where there is no database yet."""

    location: Location
    _connection: Connection | None

    @property
    def empty(self) -> bool:
        """Whether nothing has been recorded there yet."""
        return self._connection is None

    @property
    def connection(self) -> Connection:
        """The connection; a StoreError where there is no database."""
        if self._connection is None:
            raise StoreError(f"There is no database at {self.location} yet: record a run first.")
        return self._connection


@contextmanager
def reading(database: str | os.PathLike[str] | Location | None = None) -> Iterator[Reader]:
    """Open for reading, in one transaction. Never writes, never waits for a writer.

    Raises:
        NotATrackerDatabase, DatabaseTooNew, DatabaseTooOld: see `tracker.errors`.
    """
    location = database if isinstance(database, Location) else locate(database)
    if not location.exists():
        yield Reader(location, None)
        return
    schema.check_file(location)
    with translated(location), _open_to_read(location) as connection, connection.begin():
        state = schema.state(connection, location)
        if state != "absent":
            schema.require_current(state, location)
        yield Reader(location, None if state == "absent" else connection)


@contextmanager
def _open_to_read(location: Location) -> Iterator[Connection]:
    engine = _engine(location, "ro", PATIENCE)
    try:
        connection = engine.connect()
        connection.exec_driver_sql("SELECT 1")
        if location.path is not None:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
        connection.rollback()
    except OperationalError as error:
        if location.path is None or os.access(location.path.parent, os.W_OK):
            raise
        # WAL needs a file beside the database, which a read-only folder cannot hold.
        if "unable to open" not in str(error) and "readonly" not in str(error):
            raise
        connection = _engine(location, "ro&immutable=1", PATIENCE).connect()
    with connection:
        yield connection


@contextmanager
def writing(database: str | os.PathLike[str] | Location | None = None) -> Iterator[Connection]:
    """Open for one write transaction; makes or migrates the database first."""
    location = database if isinstance(database, Location) else locate(database)
    prepare(location)
    handle = Database(location, patience=10)
    try:
        with handle.transaction() as connection:
            yield connection
    finally:
        handle.close()


def prepare(location: Location) -> None:
    """Make the database, or bring it to this release's schema; does nothing where it is current."""
    if location.exists():
        schema.check_file(location)
        with translated(location), _open_to_read(location) as connection, connection.begin():
            state = schema.state(connection, location)
        if state == schema.HEAD:
            return
        schema.refuse_newer(state, location)
    from tracker import migrate

    migrate.upgrade(location)


def file_lock(location: Location, patience: float) -> FileLock | _NoLock:
    """Return the lock file beside an SQLite database; a server locks by itself."""
    if location.path is None:
        return _NoLock()
    return FileLock(
        f"{location.path}.lock",
        timeout=patience,
        mode=0o600,
        poll_interval=0.002,
        thread_local=False,
    )


class _NoLock:
    def __enter__(self) -> None: ...

    def __exit__(self, *exc: object) -> None: ...


@contextmanager
def translated(location: Location) -> Iterator[None]:
    """Turn what drivers raise into `StoreError`s that name the database."""
    try:
        yield
    except Timeout as error:
        raise DatabaseBusy(
            f"The database {location} was locked by another process for too long. Try again."
        ) from error
    except DBAPIError as error:
        raise _meaning(error, location) from error
    except PermissionError as error:
        raise NotWritable(
            f"{error.filename or location} cannot be written: {error.strerror}."
        ) from error
    except OSError as error:
        raise StoreError(f"The database {location} cannot be used: {error}.") from error
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise StoreError(
            "PostgreSQL needs the driver psycopg: pip install 'local-tracker[postgres]'."
        ) from error


def _meaning(error: DBAPIError, location: Location) -> StoreError:
    text = str(error.orig)
    if "locked" in text or "busy" in text or "lock timeout" in text:
        return DatabaseBusy(
            f"The database {location} was locked by another process for too long. Try again."
        )
    if "readonly" in text or "unable to open" in text:
        return NotWritable(f"The database {location} cannot be opened for that: {text}.")
    if "not a database" in text or "malformed" in text:
        return NotATrackerDatabase(
            f"The database {location} is damaged or no database ({text}). "
            f"Look at it with: tracker db doctor --database {location}"
        )
    return StoreError(f"The database {location} refused: {text.strip()}")


def _engine(location: Location, mode: str, patience: float) -> Engine:
    if location.path is None:
        return _server_engine(location.url, mode, patience)
    engine = create_engine(
        "sqlite://", creator=_sqlite_connector(location.path, mode, patience), poolclass=NullPool
    )
    begin = "BEGIN IMMEDIATE" if mode == "rw" else "BEGIN"

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _sqlite_connector(path: Path, mode: str, patience: float) -> Any:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode={mode}",
            uri=True,
            timeout=patience,
            isolation_level=None,
            check_same_thread=False,
        )
        if mode == "rw":
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        return connection

    return connect


def _server_engine(url: URL, mode: str, patience: float) -> Engine:
    milliseconds = int(patience * 1000)
    options = f"-c lock_timeout={milliseconds} -c tcp_user_timeout={milliseconds}"
    if mode != "rw":
        options += " -c default_transaction_read_only=on"
    return create_engine(
        url,
        poolclass=NullPool,
        connect_args={"connect_timeout": 2, "options": options},
    )
