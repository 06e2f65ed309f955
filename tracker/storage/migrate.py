"""Bring a database to this release's schema: with a backup, in one transaction, or not at all.

Alembic is imported only where something has to change: an everyday command does not load it."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, create_mock_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.ddl import ExecutableDDLElement

from tracker import process
from tracker.errors import NotWritable, StoreError
from tracker.files import sync_folder, sync_path
from tracker.models import Table
from tracker.storage import schema
from tracker.storage.database import peek, translated
from tracker.storage.engine import begin_with, set_durable
from tracker.storage.location import Location
from tracker.storage.lock_file import Lock

if TYPE_CHECKING:
    from alembic.config import Config

log = logging.getLogger("tracker")

_ADVISORY_LOCK = 7236254117
"""Any number, the same in every release."""

_PATIENCE = 60.0
_VERSION_TABLE = f"""CREATE TABLE {schema.VERSION_TABLE} (
    version_num VARCHAR(32) NOT NULL, CONSTRAINT {schema.VERSION_TABLE}_pkc PRIMARY KEY (version_num)
)"""
"""As Alembic creates it."""

_LARGE = 100_000_000
"""Bytes of a database whose upgrade takes seconds."""

_WITHOUT_STEP_SUMMARIES = ("0001", "0002")


def scripts() -> Path:
    """Return the folder of migrations: inside the package (wheel), else beside it (checkout)."""
    package = Path(__file__).parents[1]
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StoreError(f"The migrations are missing beside {package}: reinstall local-tracker.")


def config(connection: Connection | None = None) -> Config:
    """Return the Alembic configuration; ``%`` in the path is doubled for its interpolation."""
    from alembic.config import Config

    alembic = Config()
    alembic.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    alembic.attributes["connection"] = connection
    return alembic


def upgrade(location: Location) -> Path | None:
    """Create or upgrade the database; returns the backup's path when one was made.

    Raises:
        NotATrackerDatabase, DatabaseTooNew: the file is left unchanged.
        StoreError: when the upgrade failed; the database is as it was.
    """
    peek(location)
    location.create_folder()
    with translated(location), Lock(location).held(_PATIENCE):
        _create_file(location)
        with _exclusive(location) as connection:
            state = schema.state(connection, location)
            schema.refuse_newer(state, location)
            if state == schema.HEAD:
                return None
            if state is None and location.path is not None:
                lay_down(connection)
                return None
            saved = None if state is None else _saved(location)
            if saved is not None:
                _announce(location)
            run_migrations(connection)
            if state in _WITHOUT_STEP_SUMMARIES:
                from tracker.storage import step_summaries

                step_summaries.rebuild_all(connection)
            _check_foreign_keys(connection, location)
        return saved


def _announce(location: Location) -> None:
    """Say that the upgrade of a large file takes a while: a training may be waiting for it."""
    size = 0 if location.path is None else location.path.stat().st_size
    if size >= _LARGE:
        log.warning(
            "local-tracker: %s is upgraded to schema %s, once; its %.0f MB take a while.",
            location,
            schema.HEAD,
            size / 1e6,
        )


def run_migrations(connection: Connection) -> None:
    """Bring the tables to this release's schema, one migration after the other."""
    from alembic import command

    command.upgrade(config(connection), "head")


def lay_down(connection: Connection) -> None:
    """Create this release's tables in an empty SQLite database at once, from the models.

    What the migrations would make, without Alembic, which takes longer to load than the tables to be made.
    """
    driver = connection.connection.cursor()
    for statement in _script():
        driver.execute(statement)
    driver.execute(_VERSION_TABLE)
    driver.execute(f"INSERT INTO {schema.VERSION_TABLE} VALUES (?)", (schema.HEAD,))
    driver.close()


@cache
def _script() -> tuple[str, ...]:
    """Return the statements that create the models' tables in SQLite: compiled once, however many databases follow."""
    statements: list[str] = []

    def compiled(ddl: ExecutableDDLElement, *_: object, **__: object) -> None:
        statements.append(str(ddl.compile(dialect=engine.dialect)))

    engine = create_mock_engine("sqlite://", compiled)
    Table.metadata.create_all(engine, checkfirst=False)
    return tuple(statements)


def backup(location: Location, target: Path | None = None) -> Path | None:
    """Copy an SQLite database to ``target`` (default: beside it); None for a server, which has its own tools."""
    if location.path is None:
        return None
    if target is None:
        target = _free_name(location.path)
    if os.path.lexists(target):
        raise NotWritable(f"The backup {target} exists already: name another file.")
    partial = target.with_name(f"{target.name}.part-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        _require_room(location.path, target)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            _copy(location.path, partial)
            _name_it(partial, target)
        finally:
            # SQLite leaves a log beside it where it cannot delete it.
            for name in (partial.name, f"{partial.name}-journal", f"{partial.name}-wal"):
                partial.with_name(name).unlink(missing_ok=True)
        sync_folder(target.parent)
    except FileExistsError as error:
        raise NotWritable(f"The backup {target} exists already: name another file.") from error
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise NotWritable(f"The backup {target} cannot be written: {why}.") from error
    return target


def _name_it(partial: Path, target: Path) -> None:
    """Give a complete file its name, unless somebody else has put a file there meanwhile."""
    try:
        os.link(partial, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        partial.rename(target)


def _saved(location: Location) -> Path | None:
    if location.path is not None:
        _sweep_partial_backups(location.path)
    return backup(location)


def _free_name(path: Path) -> Path:
    """Return a name beside the database that tells when the backup was made, and that nothing has."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    made = path.with_name(f"{path.name}.backup-{stamp}")
    number = 1
    while os.path.lexists(made):
        number += 1
        made = path.with_name(f"{path.name}.backup-{stamp}-{number}")
    return made


def _require_room(path: Path, target: Path) -> None:
    """Refuse a copy that the disk has no room for, before it takes what is left.

    Raises:
        NotWritable: names what is needed, and what there is.
    """
    needed = sum(file.stat().st_size for file in (path, Path(f"{path}-wal")) if file.exists())
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise NotWritable(
            f"The backup {target} needs up to {needed} bytes, and its disk has {free}: make room, or back up "
            f"to another disk with tracker db backup -o FILE."
        )


def _copy(path: Path, partial: Path) -> None:
    with (
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(partial)) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    sync_path(partial, os.O_RDWR)


def _sweep_partial_backups(path: Path) -> None:
    """Remove what killed processes have left of backups; call it with the lock held."""
    for partial in path.parent.glob(f"{path.name}.backup-*.part-*"):
        owner = partial.name.rpartition(".part-")[2].partition("-")[0]
        if owner.isdigit() and not process.exists(int(owner)):
            partial.unlink(missing_ok=True)


def _create_file(location: Location) -> None:
    """Create an empty database in WAL mode; call it with the lock held.

    It gets its name when it is complete: a kill while SQLite changes a file to WAL leaves a journal
    that no reader can roll back.
    """
    path = location.path
    if path is None:
        return
    try:
        if location.exists():
            os.close(os.open(path, os.O_RDWR))
            return
        _set_leftovers_aside(path)
        fresh = path.with_name(f"{path.name}.new")
        # A process that was killed in here leaves these.
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{fresh}{suffix}").unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
            set_durable(connection, _PATIENCE)
        fresh.replace(path)
        sync_folder(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise NotWritable(
            f"The database {location} cannot be written: "
            f"{getattr(error, 'strerror', None) or error}. Choose another place "
            f"with database=, --database or TRACKER_DATABASE_URL."
        ) from error


def _set_leftovers_aside(path: Path) -> None:
    """Rename the log of a database that is gone: SQLite would apply it to the new one, and destroy that."""
    for suffix in ("-wal", "-shm", "-journal"):
        leftover = Path(f"{path}{suffix}")
        if not os.path.lexists(leftover):
            continue
        kept = path.with_name(f"{path.name}.left-{secrets.token_hex(4)}{suffix}")
        leftover.rename(kept)
        if suffix != "-shm":
            log.warning(
                "local-tracker: %s was left by a database that is gone: it is kept as %s.",
                leftover,
                kept,
            )


@contextmanager
def _exclusive(location: Location) -> Iterator[Connection]:
    """Give a connection of its own with foreign keys off: `batch_alter_table` would delete children."""
    if location.path is None:
        engine = create_engine(
            location.url, poolclass=NullPool, connect_args={"connect_timeout": 2}
        )
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
            yield connection
        return
    uri = f"{location.path.as_uri()}?mode=rw"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=OFF")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    begin_with(engine, "BEGIN IMMEDIATE")
    with engine.connect() as connection, connection.begin():
        yield connection


def _check_foreign_keys(connection: Connection, location: Location) -> None:
    if location.path is None:
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise StoreError(
            f"The upgrade of {location} would have left {len(broken)} rows without their parent, "
            f"the first in table {broken[0].table}: nothing was changed. Please report this."
        )
