"""Connections: how SQLite and PostgreSQL are opened, and the lock file beside an SQLite database.

SQLite facts this rests on, all measured: a deferred BEGIN that becomes a write fails at once whatever
the timeout (so: ``BEGIN IMMEDIATE``); WAL with ``synchronous=NORMAL`` loses acknowledged commits at
power loss (so: FULL); changing to WAL fails at once while anybody reads (so: retried).
"""

from __future__ import annotations

import ctypes
import math
import os
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tracker.storage.driver_errors import is_busy
from tracker.storage.forks import FORKS
from tracker.storage.location import Location
from tracker.storage.statements import Prepared

try:
    import fcntl
except ImportError:  # Windows: filelock opens the file each time
    fcntl = None  # type: ignore[assignment]

_POLL_SECONDS = 0.002
_COURTESY_SECONDS = 0.5
_LOCK_SHARE = 0.6
_LONGEST_ANSWER = 60.0
"""Seconds after which a server is asked whether it is at work on a statement, where the transaction has no deadline."""
_MOST_ENGINES = 16
_WAIT_STEP = 20
"""Milliseconds to which the wait for others' locks is rounded up, so that most transactions need not set it anew."""
_WAITS = "tracker_waits"


class _Commands(NamedTuple):
    """Of fcntl: to ask for a lock that belongs to an open file and not to a process, and to set one."""

    get: int
    set: int


_OFD = _Commands(fcntl.F_OFD_GETLK, fcntl.F_OFD_SETLK) if hasattr(fcntl, "F_OFD_SETLK") else None
_FLOCK = struct.Struct("hhqqi4x")
"""Linux's struct flock with 64 bits: kind, from where, start, length, pid."""


def _is_free(descriptor: int, until: int) -> bool:
    """Whether no other open file has locked a byte of this one before a place; 0: any byte."""
    if _OFD is None:
        return True
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, until, 0)
    answer = fcntl.fcntl(descriptor, _OFD.get, asked)
    return bool(_FLOCK.unpack(answer)[0] == fcntl.F_UNLCK)


class _Place:
    """A place in the queue before a lock: a lock on one byte of its file, at the time when the wait began.

    The system drops it with the process. It is a courtesy, for which nobody waits longer than `_COURTESY_SECONDS`: one
    that is stopped in the queue must not hold up the others. Where the system has no such locks (Linux does), nobody
    is in turn.
    """

    def __init__(self) -> None:
        self._began = time.monotonic_ns()
        self._is_taken = False

    def is_first(self, descriptor: int) -> bool:
        """Whether nobody waits who came earlier, or it has been so for too long."""
        waited = time.monotonic_ns() - self._began
        return waited > _COURTESY_SECONDS * 1e9 or _is_free(descriptor, self._byte)

    def wait(self, descriptor: int) -> None:
        """Stand in the queue, and sleep a little."""
        if not self._is_taken:
            self._set(descriptor, fcntl.F_WRLCK)
            self._is_taken = True
        time.sleep(_POLL_SECONDS)

    def leave(self, descriptor: int) -> None:
        """Leave the queue."""
        if self._is_taken:
            self._set(descriptor, fcntl.F_UNLCK)
            self._is_taken = False

    def _set(self, descriptor: int, kind: int) -> None:
        if _OFD is None:
            return
        # Of two that came in the same microsecond, one goes without a place.
        with suppress(OSError):
            fcntl.fcntl(descriptor, _OFD.set, _FLOCK.pack(kind, os.SEEK_SET, self._byte, 1, 0))

    @property
    def _byte(self) -> int:
        return self._began // 1000


class Lock:
    """The lock of a database; does nothing for a server, which has its own locks.

    Who waits is served in turn, see `_Place`: else one that writes without a pause has the lock again before the
    others wake up, and of 32 writers some wait for more than a second.

    Its descriptor is kept between two transactions, which saves opening a file for each. That needs two guards:
    the file may have been replaced or deleted, so that others lock another one; and a fork shares a descriptor and
    its lock, so that a child must neither hold on to it nor release it. No other thread forks while it is held, see
    `tracker.storage.forks`.
    """

    def __init__(self, location: Location) -> None:
        self._path = None if location.path is None else f"{location.path}.lock"
        self._descriptor = -1
        self._file = 0, 0
        self._process = 0
        self._opened_anew: FileLock | None = None
        self.is_held = False

    @property
    def is_open(self) -> bool:
        """Whether the file is open in this process already."""
        return self._descriptor >= 0 and self._process == os.getpid()

    @contextmanager
    def held(self, patience: float) -> Iterator[None]:
        """Hold the lock; raises as `acquire` does."""
        try:
            self.acquire(patience)
            yield
        finally:
            self.release()

    def acquire(self, patience: float) -> None:
        """Take the lock; on any error, Ctrl-C included, `release` leaves nothing behind.

        Raises:
            Timeout: filelock's; others held it for longer than ``patience`` seconds.
            OSError: the file cannot be opened or made.
        """
        if self._path is None:
            pass
        elif fcntl is None:
            lock = FileLock(self._path, mode=0o600, thread_local=False)
            lock.acquire(max(0.0, patience), poll_interval=_POLL_SECONDS)
            self._opened_anew = lock
        else:
            try:
                self._acquire(self._path, time.monotonic() + patience)
            except BaseException:  # Ctrl-C may come when it is locked already
                self.close()
                raise
        self.is_held = True
        if self._path is not None:
            FORKS.begin(self)

    def release(self) -> None:
        """Let the lock go where this process holds it."""
        self.is_held = False
        FORKS.end(self)
        if self._opened_anew is not None:
            self._opened_anew.release()
            self._opened_anew = None
        # After a fork in the block, the lock is the parent's.
        elif self.is_open:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _acquire(self, path: str, give_up: float) -> None:
        place: _Place | None = None
        while True:
            if not self.is_open:
                self._open(path)
                place = None
            descriptor = self._descriptor
            is_first = _is_free(descriptor, 0) if place is None else place.is_first(descriptor)
            if is_first and self._is_had():
                if place is not None:
                    place.leave(descriptor)
                if self._is_at(path):
                    return
                self.close()
            elif time.monotonic() >= give_up:
                raise Timeout(path)
            else:
                place = place or _Place()
                place.wait(descriptor)

    def _is_had(self) -> bool:
        """Take the lock if it is free."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _open(self, path: str) -> None:
        self.close()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self._process = os.getpid()
        opened = os.fstat(self._descriptor)
        self._file = opened.st_dev, opened.st_ino

    def _is_at(self, path: str) -> bool:
        """Whether the path still names the file that is open."""
        try:
            return file_id_at(path) == self._file
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Close the file, and release the lock where this process holds it; it is opened again when it is needed.

        A child that closes its copy leaves the parent's lock alone.
        """
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def file_id_at(path: str) -> tuple[int, int]:
    """Return the device and inode of the file at a path; raises OSError if there is none."""
    status = os.stat(path)  # noqa: PTH116 - a Path takes three times as long, and each epoch asks
    return status.st_dev, status.st_ino


def never_free(thing: object) -> None:
    """Keep an object and all it holds from ever being closed, even at the end of the interpreter."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def engine(location: Location, mode: str, patience: float, *, bounded: bool = False) -> Engine:
    """Return an engine without a pool; ``mode`` is ``rw``, ``ro``, or ``ro&immutable=1``.

    ``bounded``: connecting to a server takes no longer than the patience. It is kept for the process: it holds
    no connection, but each statement that it has compiled.
    """
    return _engine(location, mode, patience, bounded and location.path is None)


@lru_cache(maxsize=_MOST_ENGINES)
def _engine(location: Location, mode: str, patience: float, bounded: bool) -> Engine:
    if location.path is None:
        return _server_engine(location.url, mode, patience, bounded=bounded)
    created = create_engine(
        "sqlite://", creator=_connector(location.path, mode, patience), poolclass=NullPool
    )
    begin_with(created, "BEGIN IMMEDIATE" if mode == "rw" else "BEGIN")
    event.listen(created, "invalidate", _roll_back)
    return created


def _roll_back(connection: sqlite3.Connection, record: object, error: object) -> None:
    """End the transaction of a connection that was given up within a statement, as Ctrl-C does.

    Closing it would not: a statement that a traceback still holds would keep the write lock.
    """
    with suppress(sqlite3.Error):
        connection.rollback()


def begin_with(engine: Engine, sql: str) -> None:
    """Have every transaction of an SQLite engine begin with this statement, but for one that `begin` has begun."""

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not _driver(connection).in_transaction:
            connection.exec_driver_sql(sql)


_BEGIN, _COMMIT = Prepared(text("BEGIN IMMEDIATE")), Prepared(text("COMMIT"))


def begin(connection: Connection) -> None:
    """Begin a transaction that writes; in SQLite by the driver, which SQLAlchemy joins when it executes something."""
    if connection.dialect.name == "sqlite":
        _BEGIN.run(connection, {})
    else:
        connection.begin()


def commit(connection: Connection) -> None:
    """Commit what `begin` has begun."""
    if connection.in_transaction():
        connection.commit()
    else:
        _COMMIT.run(connection, {})


def roll_back(connection: Connection) -> None:
    """Roll back, whoever has begun; does nothing without a transaction."""
    if connection.in_transaction():
        connection.rollback()
    else:
        _driver(connection).rollback()


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def wait_at_most(connection: Connection, patience: float, *, bounded: bool = False) -> None:
    """Set how long a connection waits for others.

    An SQLite one for the locks of programs that do not know our lock file; one to a server, where it is
    ``bounded``, for any answer, all of them together.
    """
    milliseconds = max(1, math.ceil(patience * 1000 / _WAIT_STEP) * _WAIT_STEP)
    if connection.info.get(_WAITS) == milliseconds:
        return
    raw = _driver(connection)
    if isinstance(raw, sqlite3.Connection):
        raw.execute(f"PRAGMA busy_timeout={milliseconds}")
        connection.info[_WAITS] = milliseconds
    elif raw is not None:
        raw.deadline = time.monotonic() + patience if bounded else None
        raw.longest = _LONGEST_ANSWER


def _connector(path: Path, mode: str, patience: float) -> Callable[[], sqlite3.Connection]:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode={mode}",
            uri=True,
            timeout=patience,
            isolation_level=None,
            check_same_thread=False,
        )
        if mode == "rw":
            try:
                set_durable(connection, patience)
            except BaseException:
                connection.close()
                raise
        return connection

    return connect


def set_durable(connection: sqlite3.Connection, patience: float) -> None:
    """Choose WAL and a full fsync per commit; SQLite's own timeout does not cover the change to WAL."""
    give_up = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > give_up:
                raise
            time.sleep(_POLL_SECONDS)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _server_engine(url: URL, mode: str, patience: float, *, bounded: bool) -> Engine:
    # Where the whole transaction has a deadline, a lock that is not had must leave time to say so.
    milliseconds = int(patience * (_LOCK_SHARE if bounded else 1) * 1000)
    options = f"-c lock_timeout={milliseconds}"
    if mode != "rw":
        options += " -c default_transaction_read_only=on"
    created = create_engine(
        url,
        poolclass=NullPool,
        connect_args={
            "connect_timeout": 2,
            "tcp_user_timeout": milliseconds,
            "options": options,
        },
    )

    @event.listens_for(created, "do_connect")
    def _connect(dialect: object, record: object, where: Any, options: Any) -> Any:
        # Loads psycopg, which an SQLite database does without.
        from tracker.storage import server

        return server.connect(patience if bounded else None, *where, **options)

    return created
