"""Open a database; the only place that begins and commits a transaction on runs.

Whole databases are written elsewhere: `tracker.storage.migrate` creates or upgrades one,
`tracker.maintenance.salvage` fills a new one.

SQLite releases before 3.51.3 have a rare corruption when two connections write or checkpoint at the
same instant: writes and closes go under a lock file of our own.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, TypeVar

from filelock import Timeout
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from tracker.errors import StoreError
from tracker.storage import schema
from tracker.storage.driver_errors import (
    NOT_TEXT,
    in_use_error,
    is_busy,
    is_not_writable,
    opening_error,
)
from tracker.storage.engine import begin, commit, engine, never_free, roll_back, wait_at_most
from tracker.storage.location import Location, locate
from tracker.storage.lock_file import Lock, file_id_at

PATIENCE = 1.5
"""Seconds that a write waits for others; a call of ours never takes more than 2."""

_QUESTION_SECONDS = 1.0
"""What a question waits for an answer: the call that asks may record something as well, and wait for that."""
_COMPACT_PATIENCE = 10.0
_ALONE_LOCK = 7236254118
"""The advisory lock of `Database.transaction` with ``alone``; the same in every release."""

_TOUCH = "SELECT count(*) FROM sqlite_master"

__all__ = ["Database", "Location", "Reader", "locate", "reading"]


@contextmanager
def in_use(location: Location, *, to_read: bool = False) -> Iterator[None]:
    """Turn what drivers raise into `StoreError`s that name the database; other errors are the caller's own.

    ``to_read``: nothing would be written.
    """
    try:
        yield
    except (Timeout, DBAPIError, NOT_TEXT) as error:
        raise in_use_error(error, location, to_read=to_read) from error


@contextmanager
def translated(location: Location, *, to_read: bool = False) -> Iterator[None]:
    """Turn what opening a database raises into `StoreError`s that name it; ``to_read``: nothing would be written."""
    try:
        with in_use(location, to_read=to_read):
            yield
    except (OSError, ModuleNotFoundError) as error:
        meaning = opening_error(error, location, to_read=to_read)
        if meaning is None:
            raise
        raise meaning from error


class Database:
    """A handle: one connection, one lock file. Not shared between threads without a lock.

    Args:
        location: the database.
        patience: seconds that a transaction waits for others.
        mode: ``rw``, or ``ro`` for `snapshot` only.
        bounded: whether a server's answers count as well, those to everything within the transaction.
    """

    def __init__(
        self,
        location: Location,
        patience: float = PATIENCE,
        mode: str = "rw",
        *,
        bounded: bool = False,
    ) -> None:
        self.location = location
        self._path = None if location.path is None else str(location.path)
        self._patience, self._mode, self._bounded = patience, mode, bounded
        self._engine = engine(location, mode, patience, bounded=bounded)
        self._lock = Lock(location)
        self._connection: Connection | None = None
        self._file: tuple[int, int] | None = None

    def for_recording(self) -> Database:
        """Return the handle that a recorder uses from here on: bounded, with the default patience.

        For an SQLite file it is this one, with its connection. A server's connection got its settings when it was
        opened: this handle is closed, and the new one opens its own.
        """
        if self.location.path is None:
            self.close()
            return Database(self.location, bounded=True)
        self._patience, self._bounded = PATIENCE, True
        self._engine = engine(self.location, self._mode, PATIENCE)
        return self

    def transaction(
        self, patience: float | None = None, *, alone: bool = False
    ) -> AbstractContextManager[Connection]:
        """Give a connection inside one transaction: committed and on disk at the end, or rolled back.

        Args:
            patience: seconds to wait for others, in all; those of the handle by default.
            alone: on a server, wait for other transactions that ask for the same; SQLite's are always alone.

        Raises:
            DatabaseBusy: when others held the write lock for longer than the patience.
            StoreError: when the database cannot be reached or written.
        """
        return _Transaction(self, self._patience if patience is None else patience, alone)

    def _begin(self, patience: float, alone: bool) -> Connection:
        try:
            return self._begun(time.monotonic() + patience, alone)
        except BaseException as error:
            self._fail(error)

    def _commit(self, connection: Connection) -> None:
        try:
            commit(connection)
            self._lock.release()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> NoReturn:
        """Roll back, and raise the error, or what it means."""
        try:
            # Where the lock was not had, nothing was begun, and nothing may be closed.
            if self._lock.is_held:
                self._roll_back(error)
        finally:
            self._lock.release()
        if isinstance(error, (Timeout, DBAPIError)):
            raise in_use_error(error, self.location) from error
        raise error

    def _begun(self, give_up: float, alone: bool) -> Connection:
        try:
            if not self._lock.is_open:
                # Its file would be made where the database has gone.
                self._check_file()
            self._lock.acquire(give_up - time.monotonic())
            self._check_file()
            connection = self._connected()
            wait_at_most(connection, give_up - time.monotonic(), bounded=self._bounded)
            begin(connection)
            if alone and self.location.path is None:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ALONE_LOCK})")
        except Timeout:
            raise
        except (OSError, ModuleNotFoundError) as error:
            self._check_file()
            meaning = opening_error(error, self.location)
            if meaning is None:
                raise
            raise meaning from error
        return connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Give a connection that reads what is committed now; waits for no writer, in SQLite's WAL mode.

        Raises:
            StoreError: when the database cannot be reached or read.
        """
        give_up = time.monotonic() + self._patience
        with in_use(self.location, to_read=True):
            try:
                with translated(self.location, to_read=True):
                    self._check_file()
                    connection = self._connected()
                    if self._bounded and self.location.path is None:
                        wait_at_most(connection, give_up - time.monotonic(), bounded=True)
                    connection.begin()
                yield connection
                connection.commit()
            except BaseException as error:
                self._roll_back(error)
                raise

    def _roll_back(self, error: BaseException) -> None:
        """Never continue with a connection whose fsync may have failed, or that is within a statement."""
        connection = self._connection
        if connection is None:
            return
        try:
            roll_back(connection)
        except Exception:
            self._drop()
        else:
            if not (is_busy(error) or is_busy(error.__cause__)):
                self._drop()

    def _check_file(self) -> None:
        """Refuse a file that was deleted, and abandon the connection to one that was replaced."""
        if self._path is None:
            return
        try:
            there = file_id_at(self._path)
        except (FileNotFoundError, NotADirectoryError):
            self._abandon()
            raise StoreError(f"The database file {self.location} no longer exists.") from None
        if there != self._file:
            self._abandon()
            self._file = there

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _abandon(self) -> None:
        if self._connection is not None:
            never_free(self._connection)
            self._connection = None

    def close(self, patience: float = PATIENCE) -> None:
        """Close under the lock: the last one to close a WAL database checkpoints it."""
        try:
            self._close(patience)
        finally:
            self._lock.close()

    def _close(self, patience: float) -> None:
        if self._connection is None:
            return
        # A read-only connection checkpoints nothing.
        if self._mode != "rw":
            self._drop()
            return
        try:
            self._check_file()
            with self._lock.held(patience):
                self._drop()
        except (StoreError, Timeout, OSError):
            self._drop()

    def forget(self) -> None:
        """Leave the connection alone without closing it: after a fork it belongs to the parent."""
        self._abandon()
        self._lock.close()


class _Transaction(AbstractContextManager[Connection]):
    """What `Database.transaction` gives; no generator, which each epoch would feel."""

    def __init__(self, database: Database, patience: float, alone: bool) -> None:
        self._database, self._patience, self._alone = database, patience, alone

    def __enter__(self) -> Connection:
        self._connection = self._database._begin(self._patience, self._alone)
        return self._connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._database._commit(self._connection)
        else:
            self._database._fail(error)


@dataclass(frozen=True)
class Reader:
    """A read transaction; it is empty where no database exists yet."""

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
            raise StoreError(f"No database at {self.location} yet: record a run first.")
        return self._connection


@contextmanager
def reading(database: str | os.PathLike[str] | Location | None = None) -> Iterator[Reader]:
    """Open for reading, in one transaction. Never writes, never waits for a writer.

    Raises:
        NotATrackerDatabase, DatabaseTooNew, DatabaseTooOld: see `tracker.errors`.
    """
    location = database if isinstance(database, Location) else locate(database)
    with translated(location, to_read=True):
        exists = location.exists()
        if exists:
            schema.check_file(location)
    if not exists:
        yield Reader(location, None)
        return
    with in_use(location, to_read=True), ExitStack() as opened:
        with translated(location, to_read=True):
            connection = opened.enter_context(open_to_read(location))
            opened.enter_context(connection.begin())
            state = schema.state(connection, location)
            if state is not None:
                schema.require_current(state, location)
        yield Reader(location, None if state is None else connection)


@contextmanager
def open_to_read(location: Location) -> Iterator[Connection]:
    """Give a connection that writes nothing, to a database that exists, whatever is in it; raises what drivers do."""
    with ExitStack() as opened:
        connection = opened.enter_context(engine(location, "ro", PATIENCE).connect())
        try:
            connection.exec_driver_sql("SELECT 1" if location.path is None else _TOUCH)
            connection.rollback()
        except OperationalError as error:
            # WAL needs a file beside the database, which a read-only folder cannot hold.
            if location.path is None or os.access(location.path.parent, os.W_OK):
                raise
            if not is_not_writable(error):
                raise
            connection = opened.enter_context(_open_unwritable(location))
        yield connection


@contextmanager
def _open_unwritable(location: Location) -> Iterator[Connection]:
    """Read an SQLite database in a folder where nothing can be made, such as on a read-only disk.

    The log of a process that was killed holds what it recorded last: both are read as a copy then.
    """
    assert location.path is not None
    log = Path(f"{location.path}-wal")
    if not log.exists() or log.stat().st_size == 0:
        with engine(location, "ro&immutable=1", PATIENCE).connect() as connection:
            yield connection
        return
    with tempfile.TemporaryDirectory(prefix="local-tracker-") as folder:
        copied = Path(folder, location.path.name)
        try:
            for suffix in ("", "-wal"):
                shutil.copyfile(f"{location.path}{suffix}", f"{copied}{suffix}")
        except OSError as error:
            raise StoreError(
                f"The database {location} has a log beside it, in a folder that cannot be written: both are read as a "
                f"copy in {folder}, which cannot be made ({error.strerror}). Set TMPDIR to a folder with more room."
            ) from error
        with engine(replace(location, path=copied), "ro", PATIENCE).connect() as connection:
            yield connection


def peek(location: Location) -> str | None:
    """Return the schema's number, without changing anything; None where there is no database yet.

    Raises:
        NotATrackerDatabase, DatabaseTooNew: for what must not be touched.
    """
    with translated(location, to_read=True):
        if not location.exists():
            return None
        schema.check_file(location)
        with open_to_read(location) as connection, connection.begin():
            state = schema.state(connection, location)
        schema.refuse_newer(state, location)
        return state


def compact(location: Location) -> int:
    """Give an SQLite file's free pages back to the disk; returns the bytes freed, 0 for a server."""
    if location.path is None or not location.exists():
        return 0
    before = location.path.stat().st_size
    with translated(location), Lock(location).held(_COMPACT_PATIENCE):
        opened = engine(location, "rw", _COMPACT_PATIENCE).connect()
        with opened as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.execute("VACUUM")
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return max(0, before - location.path.stat().st_size)


T = TypeVar("T")


class Questions:
    """Reads from any thread of the process that created it, over one connection that is kept open."""

    def __init__(self, location: Location) -> None:
        self._database = Database(location, _QUESTION_SECONDS, "ro", bounded=True)
        self._lock = threading.Lock()
        self._closed = False

    def ask(self, ask: Callable[[Connection], T]) -> T:
        """Return what ``ask`` returns for a snapshot of what is committed.

        Raises:
            StoreError: when the database cannot be reached or read.
        """
        if not self._lock.acquire(timeout=_QUESTION_SECONDS):
            raise StoreError(f"The database {self._database.location} did not answer in time.")
        try:
            with self._database.snapshot() as connection:
                return ask(connection)
        finally:
            if self._closed:
                self._database.close()
            self._lock.release()

    def close(self) -> None:
        """Close the connection; what is asked from now on opens one of its own."""
        self._closed = True
        # Without the lock: a question is being answered, which closes the connection itself.
        if self._lock.acquire(blocking=False):
            self._database.close()
            self._lock.release()

    def forget(self) -> None:
        """Leave the connection alone: after a fork it belongs to the parent."""
        self._database.forget()
        self._lock = threading.Lock()
