"""What a driver raises is told apart by its code, never by the words of its text."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from tracker.errors import DatabaseBusy, NotATrackerDatabase, NotWritable, StoreError
from tracker.storage.database import Database
from tracker.storage.location import Location, locate
from tracker.storage.prepare import prepare


@pytest.fixture
def location(folder: Path) -> Location:
    located = locate()
    prepare(located)
    return located


def refusal(location: Location, *statements: str, mode: str = "rw") -> StoreError:
    """Return what comes out of a transaction in which the last of these statements is refused."""
    database = Database(location, patience=0.1, mode=mode)
    begin = database.transaction if mode == "rw" else database.snapshot
    with pytest.raises(StoreError) as raised, begin() as connection:
        run(connection, *statements)
    database.close()
    return raised.value


def run(connection: Connection, *statements: str) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement)


def test_a_lock_that_others_hold_is_busy(location: Location) -> None:
    with closing(sqlite3.connect(location.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert type(refusal(location)) is DatabaseBusy


@pytest.mark.parametrize("word", ["locked", "busy", "readonly", "malformed", "unable to open"])
def test_a_constraint_whose_name_has_the_word_is_only_refused(
    location: Location, word: str
) -> None:
    table = f'CREATE TABLE own (a, CONSTRAINT "{word}" CHECK (a > 0))'
    error = refusal(location, table, "INSERT INTO own VALUES (0)")
    assert type(error) is StoreError
    assert word in str(error)


def test_writing_where_only_reading_is_possible_is_not_writable(location: Location) -> None:
    assert type(refusal(location, "DELETE FROM run", mode="ro")) is NotWritable


def test_a_file_with_overwritten_pages_is_damaged(location: Location) -> None:
    assert location.path is not None
    with location.path.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(location.path.stat().st_size - 100))
    error: Any = refusal(location, "SELECT * FROM run")
    assert type(error) is NotATrackerDatabase
    assert "tracker db doctor" in str(error)
