"""Connections: how SQLite and PostgreSQL are opened.

SQLite facts this rests on, all measured: a deferred BEGIN that becomes a write fails at once whatever
the timeout (so: ``BEGIN IMMEDIATE``); WAL with ``synchronous=NORMAL`` loses acknowledged commits at
power loss (so: FULL); changing to WAL fails at once while anybody reads (so: retried).
"""

from __future__ import annotations

import ctypes
import math
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tracker.storage.driver_errors import is_busy
from tracker.storage.location import Location
from tracker.storage.statements import Prepared

_POLL_SECONDS = 0.002
_LOCK_SHARE = 0.6
_LONGEST_ANSWER = 60.0
"""Seconds after which a server is asked whether it is at work on a statement, where the transaction has no deadline."""
_MOST_ENGINES = 16
_WAIT_STEP = 20
"""Milliseconds to which the wait for others' locks is rounded up, so that most transactions need not set it anew."""
_WAITS = "tracker_waits"


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
