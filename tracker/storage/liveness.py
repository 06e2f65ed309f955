"""Whether an attempt is still being recorded, as its database tells it.

What a process on another machine has last written is as old as the server's clock says, which has stamped it: two
machines' clocks are not compared, because either may be wrong by hours.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import Connection, text

from tracker import process
from tracker.clock import now

_SERVER_TIME = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
_ASK_TIME = text(f"SELECT {_SERVER_TIME}")


def is_live(connection: Connection, attempt: Any) -> bool:
    """Say whether an attempt may still record, see `tracker.process.is_live`."""
    return process.is_live(attempt, partial(database_time, connection))


def database_time(connection: Connection) -> int:
    """Return the time by the database's clock, in microseconds since 1970; an SQLite file has this machine's."""
    if not has_clock(connection):
        return now()
    return int(connection.execute(_ASK_TIME).scalar_one())


def has_clock(connection: Connection) -> bool:
    """Say whether the database is a server, with a clock of its own."""
    return connection.dialect.name != "sqlite"


def heard_now(connection: Connection) -> int | None:
    """Return what `tracker.models.Attempt.heard` is for an attempt that writes in this transaction."""
    return database_time(connection) if has_clock(connection) else None
