"""One place begins and commits a transaction; it never waits for long and never writes into the void."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from sqlalchemy import insert, select

from tracker import models
from tracker.errors import DatabaseBusy, StoreError
from tracker.models import RUN
from tracker.storage.database import Database, compact, reading
from tracker.storage.location import Location, locate
from tracker.storage.prepare import prepare, writing


@pytest.fixture
def location(folder: Path) -> Location:
    found = locate()
    prepare(found)
    return found


@pytest.fixture
def database(location: Location) -> Iterator[Database]:
    handle = Database(location, patience=0.3)
    yield handle
    handle.close()


def a_run(id: str = "a") -> Any:
    row = {"id": id, "name": id, "experiment": "x", "status": "running", "started": 0}
    return insert(RUN).values(**row, seconds=0.0, epochs=0)


def test_a_transaction_is_whole_or_not_at_all(database: Database, sql: Any) -> None:
    with database.transaction() as connection:
        connection.execute(a_run("kept"))
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute(a_run("dropped"))
        raise ZeroDivisionError
    with database.transaction() as connection:
        connection.execute(a_run("after"))
    assert sql("SELECT id FROM run ORDER BY id") == [("after",), ("kept",)]


def test_every_connection_is_as_durable_as_promised(database: Database) -> None:
    with database.transaction() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
    assert found == ["wal", 2, 1]


def test_the_write_lock_is_taken_at_the_beginning(database: Database, location: Location) -> None:
    """A deferred transaction that turns into a write fails at once, whatever the timeout."""
    with database.transaction(), closing(sqlite3.connect(location.path, timeout=0)) as other:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        assert other.execute("SELECT count(*) FROM run").fetchone() == (0,)


@pytest.mark.parametrize("theirs", ["our lock file", "SQLite's lock"])
def test_somebody_who_holds_the_lock_is_waited_for_and_then_told(
    database: Database, location: Location, theirs: str
) -> None:
    with closing(sqlite3.connect(location.path, isolation_level=None)) as other:
        lock = FileLock(f"{location.path}.lock")
        if theirs == "our lock file":
            lock.acquire()
        else:
            other.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        with pytest.raises(DatabaseBusy, match=str(location.path)), database.transaction():
            pass
        assert time.monotonic() - started >= 0.25
        lock.release()
        if other.in_transaction:
            other.execute("ROLLBACK")
    with database.transaction() as connection:
        connection.execute(a_run())


def test_a_file_that_was_unlinked_is_not_written_into(
    database: Database, location: Location
) -> None:
    with database.transaction():
        pass
    assert location.path is not None
    location.path.unlink()
    with pytest.raises(StoreError, match="no longer exists"), database.transaction():
        pass


def test_a_file_that_took_its_place_is_the_one_written(
    database: Database, location: Location
) -> None:
    with database.transaction() as connection:
        connection.execute(a_run("old"))
    assert location.path is not None
    with database.transaction() as connection:
        connection.exec_driver_sql("SELECT 1")
    moved = location.path.with_name("moved.db")
    location.path.rename(moved)
    prepare(location)
    with database.transaction() as connection:
        connection.execute(a_run("new"))
    with reading(location) as reader:
        assert reader.connection.execute(select(RUN.c.id)).scalars().all() == ["new"]


def test_a_folder_that_was_removed_is_not_made_anew(database: Database, location: Location) -> None:
    with database.transaction():
        pass
    assert location.path is not None
    shutil.rmtree(location.path.parent)
    with pytest.raises(StoreError, match="no longer exists"), database.transaction():
        pass
    database.close()
    assert not location.path.parent.exists()


def test_reading_never_writes(database: Database, location: Location) -> None:
    assert location.path is not None
    with database.transaction() as connection:
        connection.execute(a_run())
    database.close()
    before = location.path.read_bytes()
    with reading() as reader:
        assert reader.connection.execute(select(RUN.c.id)).scalar() == "a"
        with pytest.raises(Exception, match="readonly"):
            reader.connection.execute(a_run("b"))
    assert location.path.read_bytes() == before


def test_reading_where_nothing_was_recorded_makes_nothing(folder: Path) -> None:
    with reading() as reader:
        assert reader.empty
        with pytest.raises(StoreError, match="record a run first"):
            assert reader.connection
    assert list(folder.iterdir()) == []


def test_a_reader_sees_one_moment(database: Database) -> None:
    with reading() as reader:
        ask = select(RUN.c.id)
        assert reader.connection.execute(ask).all() == []
        with database.transaction() as connection:
            connection.execute(a_run())
        assert reader.connection.execute(ask).all() == []


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(a_run())
        started = time.monotonic()
        with reading() as reader:
            assert reader.connection.execute(select(RUN.c.id)).all() == []
        assert time.monotonic() - started < 1


@pytest.mark.parametrize("use", [reading, writing])
def test_the_callers_own_errors_come_out_as_they_are(location: Location, use: Any) -> None:
    for error in (BrokenPipeError, PermissionError, ModuleNotFoundError):
        with pytest.raises(error), use():
            raise error


def test_deleted_rows_can_be_given_back_to_the_disk(database: Database, location: Location) -> None:
    with database.transaction() as connection:
        connection.execute(a_run())
        connection.exec_driver_sql("UPDATE run SET note = hex(randomblob(1000000))")
    with database.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM run")
    database.close()
    assert compact(location) > 1_000_000
    assert compact(location) == 0
    assert compact(locate("elsewhere.db")) == 0


def test_writing_makes_the_database_first(folder: Path, sql: Any) -> None:
    with writing("new/x.db") as connection:
        connection.execute(a_run())
    assert sql("SELECT id FROM run", path="new/x.db") == [("a",)]


def test_a_database_restored_from_a_backup_turns_to_wal_while_it_is_read(
    database: Database, location: Location
) -> None:
    database.close()
    with closing(sqlite3.connect(location.path)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM run").fetchone()
        with pytest.raises(DatabaseBusy), database.transaction():
            pass
    with database.transaction() as connection:
        connection.execute(a_run())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_may_read_the_files(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        prepare(locate())
        handle = Database(locate())
        with handle.transaction() as connection:
            connection.execute(a_run())
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in Path(".tracker").iterdir()
        }
    finally:
        os.umask(before)
    handle.close()
    assert modes.keys() >= {"tracker.db", "tracker.db-wal", "tracker.db-shm", "tracker.db.lock"}
    assert set(modes.values()) == {0o600}


def test_a_forked_child_leaves_the_connection_to_its_parent(database: Database, sql: Any) -> None:
    with database.transaction() as connection:
        connection.execute(a_run("before"))
    child = os.fork()
    if child == 0:
        database.forget()
        os._exit(0)
    os.waitpid(child, 0)
    with database.transaction() as connection:
        connection.execute(a_run("after"))
    assert sql("SELECT count(*) FROM run") == [(2,)]


def test_a_child_that_forgets_inside_a_transaction_does_not_let_go_of_the_lock(
    database: Database, location: Location
) -> None:
    with database.transaction():
        child = os.fork()
        if child == 0:
            database.forget()
            os._exit(0)
        os.waitpid(child, 0)
        other = Database(location, patience=0.1)
        with pytest.raises(DatabaseBusy), other.transaction():
            pass


OPEN = """
from tracker.storage.database import reading
from tracker.storage.prepare import prepare, writing
from tracker.errors import TrackerError
from tracker.storage.location import locate
for use in (reading, writing):
    try:
        with use() as opened:
            if use is writing:
                opened.exec_driver_sql("DELETE FROM run")
            print("opened")
    except TrackerError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_file_that_permissions_forbid_is_told(location: Location, script: Any, mode: int) -> None:
    assert location.path is not None
    location.path.chmod(mode)
    said, errors = script(OPEN, unprivileged=True).communicate()
    lines = said.splitlines()
    assert not errors
    assert lines[0] == "opened" if mode else "cannot be read" in lines[0]
    assert lines[1].startswith("NotWritable") if mode else "cannot be read" in lines[1]
    assert str(location.path) in lines[1]


def test_a_database_in_a_read_only_folder_can_be_read(location: Location, script: Any) -> None:
    assert location.path is not None
    location.path.parent.chmod(0o500)
    said, errors = script(OPEN, unprivileged=True).communicate()
    location.path.parent.chmod(0o700)
    assert not errors
    assert said.startswith("opened\nNotWritable")


def test_the_tables_are_not_those_of_a_users_models() -> None:
    from sqlmodel import SQLModel

    assert models.Run.__table__.metadata is not SQLModel.metadata  # type: ignore[attr-defined]  # made by a metaclass
