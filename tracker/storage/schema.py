"""Which schema a database has: ours and current, too old, too new, or another program's.

It knows the releases by number, so that an everyday command does not need Alembic.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, inspect

from tracker.errors import DatabaseTooNew, DatabaseTooOld, NotATrackerDatabase
from tracker.storage.driver_errors import NOT_TEXT
from tracker.storage.location import Location, unreadable

HISTORY = (
    "0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012",
    "0013",
)  # fmt: skip
"""Every schema this release can upgrade from, oldest first; the last one is its own."""

HEAD = HISTORY[-1]
VERSION_TABLE = "tracker_schema_version"
"""A name of our own: MLflow and Optuna both use Alembic's default one."""

_ASK_VERSION = f"SELECT version_num FROM {VERSION_TABLE}"
_MAGIC = b"SQLite format 3\0"
_WRITE_VERSION, _WAL = 18, 2  # https://www.sqlite.org/fileformat2.html#the_database_header
_OTHERS = {
    "an MLflow": {"experiments", "runs", "metrics"},
    "an Optuna": {"studies", "trials"},
}


def check_file(location: Location) -> None:
    """Refuse a file that is not an SQLite database, without opening it as one."""
    if location.path is None:
        return
    if location.path.is_dir():
        raise NotATrackerDatabase(f"{location} is a folder: name a file.")
    try:
        head = _head_of(location.path)
    except PermissionError as error:
        raise unreadable(location, error) from error
    if head and not head.startswith(_MAGIC):
        raise NotATrackerDatabase(
            f"{location} is {_looks_like(head)}, not a tracker database. It was left unchanged; "
            f"name another file with database=, --database or TRACKER_DATABASE_URL."
        )
    at_rest = head and head[_WRITE_VERSION] == _WAL and not Path(f"{location.path}-wal").exists()
    if at_rest and (tables := _peek(location.path)) and VERSION_TABLE not in tables:
        raise _foreign(tables, location)


_HEAD = 100
_MOST_OPEN = 32
_open_files: OrderedDict[tuple[int, int], int] = OrderedDict()
_open_files_lock = threading.Lock()


def _head_of(path: Path) -> bytes:
    """Return the first bytes of a file through a descriptor that stays open.

    POSIX drops all locks that a process has on a file when it closes any descriptor of it: a connection of
    ours would lose its own, and the next process that closes the database would take itself for the last,
    and remove the log that the connection still writes.
    """
    with _open_files_lock:
        status = path.stat()
        key = status.st_dev, status.st_ino
        if key not in _open_files:
            _open_files[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            while len(_open_files) > _MOST_OPEN:
                _, oldest = _open_files.popitem(last=False)
                os.close(oldest)
        _open_files.move_to_end(key)
        return os.pread(_open_files[key], _HEAD, 0)


def is_current(path: Path) -> bool:
    """Say whether a file is a database with this release's schema; False where it takes a longer look to say.

    Nearly every start asks this: sqlite3 answers in a tenth of the time that SQLAlchemy needs.
    """
    try:
        if not _head_of(path).startswith(_MAGIC) or Path(f"{path}-journal").exists():
            return False
        with closing(open_at_rest(path)) as connection:
            (version,) = connection.execute(_ASK_VERSION).fetchone()
            return bool(version == HEAD)
    except (OSError, sqlite3.Error, TypeError, NOT_TEXT):
        return False


def open_at_rest(path: Path) -> sqlite3.Connection:
    """Open a file to read, which may be another program's; a database at rest gets no files beside it."""
    how = "mode=ro" if Path(f"{path}-wal").exists() else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.as_uri()}?{how}", uri=True)


def _peek(path: Path) -> set[str]:
    """Return the tables of a WAL database without creating its -wal and -shm files, as reading would."""
    uri = f"{path.as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {name for (name,) in tables}
    except (sqlite3.Error, NOT_TEXT):
        return set()


def _looks_like(head: bytes) -> str:
    if head.startswith(b"\x89HDF"):
        return "an HDF5 file"
    if head.startswith(b"PK\x03\x04"):
        return "a zip archive (perhaps a .keras or .pt checkpoint)"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError:
        return "a binary or encrypted file"
    return "a binary file" if b"\0" in head else "a text file"


def state(connection: Connection, location: Location) -> str | None:
    """Return the schema's number; None for a database without any table of ours.

    Raises:
        NotATrackerDatabase: when it holds tables, but not ours.
    """
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE in tables:
        row = connection.exec_driver_sql(_ASK_VERSION).scalar()
        return None if row is None else str(row)
    # On a server we live beside other programs' tables.
    if tables and location.path is not None:
        raise _foreign(tables, location)
    return None


def _foreign(tables: set[str], location: Location) -> NotATrackerDatabase:
    whose = next(
        (name for name, theirs in _OTHERS.items() if theirs <= tables), "another program's"
    )
    some = ", ".join(sorted(tables)[:5])
    return NotATrackerDatabase(
        f"{location} is {whose} database (tables: {some}), not a tracker database. It was left "
        f"unchanged; name another file with database=, --database or TRACKER_DATABASE_URL."
    )


def require_current(version: str, location: Location) -> None:
    """Refuse to read a schema of another release."""
    refuse_newer(version, location)
    if version != HEAD:
        raise DatabaseTooOld(
            f"{location} has schema {version}, this release reads {HEAD}. "
            f"Upgrade it (a backup is made first): tracker db upgrade --database {location}"
        )


def refuse_newer(version: str | None, location: Location) -> None:
    """Refuse a schema that this release does not know."""
    if version is not None and version not in HISTORY:
        raise DatabaseTooNew(
            f"{location} has schema {version}, made by a newer release; this one knows up to {HEAD}. "
            f"It was left unchanged. Upgrade the program: pip install --upgrade local-tracker"
        )
