"""What is not ours is refused with a sentence that says what it is, and stays as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import tracker
from tracker.errors import NotATrackerDatabase


def tables(*names: str, mode: str = "DELETE") -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA journal_mode={mode}")
            for name in names:
                connection.execute(f"CREATE TABLE {name} (id)")
                connection.execute(f"INSERT INTO {name} VALUES (1)")
            connection.commit()

    return make


def data(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (tables("experiments", "runs", "metrics", "alembic_version"), "an MLflow database"),
        (tables("studies", "trials", "alembic_version", mode="WAL"), "an Optuna database"),
        (tables("mine", mode="WAL"), "another program's database"),
        (data(b"epoch,loss\n0,0.5\n"), "a text file"),
        (data(b"\x89HDF\r\n\x1a\n" + b"\0" * 100), "an HDF5 file"),
        (data(b"PK\x03\x04" + b"\0" * 100), "a zip archive"),
        (data(bytes(range(128, 256)) * 20), "a binary or encrypted file"),
    ],
)
def test_a_foreign_file_is_named_and_left_alone(
    make: Callable[[Path], None], said: str, folder: Path
) -> None:
    path = folder / "theirs.db"
    make(path)
    before, times = path.read_bytes(), path.stat().st_mtime_ns
    for use in (lambda: tracker.runs(database=path), lambda: tracker.start_run(database=path)):
        with pytest.raises(NotATrackerDatabase, match=said):
            use()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, times)
    assert [one.name for one in folder.iterdir()] == ["theirs.db"]
