"""What databases' drivers and the file system raise, as `StoreError`s that name the database.

Errors are told apart by their codes: SQLite's result codes (https://www.sqlite.org/rescode.html) and
PostgreSQL's SQLSTATEs (https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from filelock import Timeout
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, ProgrammingError

from tracker.errors import DatabaseBusy, NotATrackerDatabase, NotWritable, StoreError
from tracker.process import lock_holder
from tracker.storage.location import Location, unreadable, unwritable

_BUSY = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        "55P03",  # lock_not_available, after lock_timeout
        "40P01",  # deadlock_detected
    }
)
_NOT_WRITABLE = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        "25006",  # read_only_sql_transaction
        "42501",  # insufficient_privilege
    }
)
_REFUSED = frozenset({sqlite3.SQLITE_CANTOPEN, "42501"})
"""Those of them that reading meets as well."""

_DAMAGED = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})


_ENTRY_CODES = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_RANGE,
        "42804",  # datatype_mismatch
        "42846",  # cannot_coerce
    }
)
_ENTRY_CLASSES = frozenset(
    {
        "21",  # cardinality violation
        "22",  # data exception
        "23",  # integrity constraint violation
        "54",  # program limit exceeded, such as a name that is too long for an index
    }
)


NOT_TEXT = UnicodeDecodeError
"""What sqlite3 raises for bytes that are not UTF-8: it quotes them in the message of its own error."""


def code_of(error: BaseException | None) -> int | str | None:
    """Return SQLite's primary result code or PostgreSQL's SQLSTATE; None for an error without one."""
    if isinstance(error, DBAPIError):
        error = error.orig
    if isinstance(error, sqlite3.Error):
        # Python's own sqlite3 errors, such as that of a closed connection, have no code.
        extended = getattr(error, "sqlite_errorcode", None)
        return None if extended is None else extended & 0xFF
    return getattr(error, "sqlstate", None)


def is_busy(error: BaseException | None) -> bool:
    """Say whether somebody else held a lock for too long."""
    return code_of(error) in _BUSY


def is_entrys_fault(error: DBAPIError) -> bool:
    """Say whether a database refuses what is written: everything else (a privilege, room, a lock) may change."""
    code = code_of(error)
    if code is None:
        # A value that the driver itself cannot hand over; a closed connection is one of the others.
        return isinstance(error, (DataError, ProgrammingError)) or _is_unbindable(error)
    return code in _ENTRY_CODES or (isinstance(code, str) and code[:2] in _ENTRY_CLASSES)


def _is_unbindable(error: DBAPIError) -> bool:
    """Say whether Python's sqlite3 could not bind a value, for which it has no code."""
    return isinstance(error, InterfaceError) and isinstance(error.orig, sqlite3.Error)


def is_not_writable(error: BaseException) -> bool:
    """Say whether the database or its folder cannot be opened for that."""
    return code_of(error) in _NOT_WRITABLE


def in_use_error(
    error: Timeout | DBAPIError | NOT_TEXT, location: Location, *, to_read: bool = False
) -> StoreError:
    """Return what a lock file or a driver has raised as an error that names the database.

    ``to_read``: nothing would have been written.
    """
    if isinstance(error, NOT_TEXT):
        return _damaged(location, str(error))
    return _busy(location) if isinstance(error, Timeout) else _meaning(error, location, to_read)


def opening_error(
    error: OSError | ModuleNotFoundError, location: Location, *, to_read: bool = False
) -> StoreError | None:
    """Return what opening a database has raised as an error that names it; None for somebody else's."""
    if isinstance(error, PermissionError) and to_read:
        return unreadable(location, error)
    if isinstance(error, PermissionError):
        return NotWritable(f"{error.filename or location} cannot be written: {error.strerror}.")
    if isinstance(error, FileNotFoundError) and not to_read:
        # A folder that is there, and holds no files, such as /proc.
        return unwritable(location, error)
    if isinstance(error, OSError):
        return StoreError(f"The database {location} cannot be used: {error}.")
    if error.name != "psycopg":
        return None
    return StoreError("PostgreSQL needs the driver psycopg: pip install 'local-tracker[postgres]'.")


def _busy(location: Location) -> DatabaseBusy:
    holder = None
    if location.path is not None:
        holder = lock_holder(Path(f"{location.path}.lock"))
    return DatabaseBusy(
        f"The database {location} was locked by another process for too long{f': {holder}' if holder else ''}. "
        f"Try again."
    )


def _meaning(error: DBAPIError, location: Location, to_read: bool) -> StoreError:
    code, text = code_of(error), str(error.orig).strip()
    if code in _BUSY:
        return _busy(location)
    if code in _REFUSED and to_read:
        return StoreError(f"The database {location} cannot be read: {text}.")
    if code in _NOT_WRITABLE:
        return NotWritable(f"The database {location} cannot be opened for that: {text}.")
    if code in _DAMAGED:
        return _damaged(location, text)
    if isinstance(code, str) and code[:2] == "08":  # connection exception
        return DatabaseBusy(f"The database {location} did not answer in time ({text}).")
    return StoreError(f"The database {location} refused: {text}")


def _damaged(location: Location, why: str) -> NotATrackerDatabase:
    return NotATrackerDatabase(
        f"The database {location} is damaged or not a database ({why}). "
        f"Look at it with: tracker db doctor --database {location}"
    )
