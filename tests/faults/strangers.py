"""Foreign files, and those of a later release, in the place of a database: named, and left as they are."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import tracker
from tests.faults.family import Family, Result
from tracker.errors import DatabaseTooNew, NotATrackerDatabase
from tracker.maintenance.doctor import mend
from tracker.storage import migrate, schema
from tracker.storage.location import locate
from tracker.storage.prepare import writing


def tables(*names: str, mode: str = "DELETE") -> Callable[[Path], object]:
    """Return what makes an SQLite database with these tables, and a row in each."""

    def make(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA journal_mode={mode}")
            for name in names:
                connection.execute(f"CREATE TABLE {name} (id)")
                connection.execute(f"INSERT INTO {name} VALUES (1)")
            connection.commit()

    return make


def data(content: bytes) -> Callable[[Path], object]:
    """Return what makes a file of these bytes."""
    return lambda path: path.write_bytes(content)


def of_a_release_to_come(path: Path) -> None:
    """Make a database that a newer release has upgraded."""
    tracker.start_run(database=path, system_metrics=False).finish()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
        connection.commit()


FILES: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "MLflow": (
        tables("experiments", "runs", "metrics", "alembic_version"),
        NotATrackerDatabase,
        "an MLflow database",
    ),
    "Optuna": (
        tables("studies", "trials", "alembic_version", mode="WAL"),
        NotATrackerDatabase,
        "an Optuna database",
    ),
    "another program": (
        tables("mine", mode="WAL"),
        NotATrackerDatabase,
        "another program's database",
    ),
    "text": (data(b"epoch,loss\n0,0.5\n"), NotATrackerDatabase, "a text file"),
    "HDF5": (data(b"\x89HDF\r\n\x1a\n" + b"\0" * 100), NotATrackerDatabase, "an HDF5 file"),
    "zip": (data(b"PK\x03\x04" + b"\0" * 100), NotATrackerDatabase, "a zip archive"),
    "encrypted": (
        data(random.Random(0).randbytes(8192)),
        NotATrackerDatabase,
        "a binary or encrypted file",
    ),
    "a release to come": (of_a_release_to_come, DatabaseTooNew, "newer"),
}

USES: dict[str, Callable[[Path], object]] = {
    "a listing": lambda path: tracker.runs(database=path),
    "epochs": lambda path: tracker.epochs(database=path),
    "a start": lambda path: tracker.start_run(database=path),
    "a resume": lambda path: tracker.start_run(database=path, resume="auto"),
    "an upgrade": lambda path: migrate.upgrade(locate(path)),
    "a repair": lambda path: mend(locate(path)),
    "an edit": lambda path: writing(path).__enter__(),
}


def strangers(folder: Path, share: float, rng: random.Random) -> Result:
    """Each use of each file: it is refused by a sentence that says what the file is, and not a byte changes."""
    result = Result()
    for name, (make, error, said) in FILES.items():
        for use, call in USES.items():
            place = folder / "place"
            place.mkdir()
            path = place / "theirs.db"
            with result.trial(f"{name}, {use}"):
                make(path)
                check_refused(path, call, error, said)
            shutil.rmtree(place)
    return result


def check_refused(
    path: Path, use: Callable[[Path], object], expected: type[Exception], said: str
) -> None:
    """The error names the file and what it is; it is as it was, and nothing is beside it."""
    before = {one.name for one in path.parent.iterdir()}
    content, times = path.read_bytes(), path.stat().st_mtime_ns
    try:
        use(path)
    except expected as error:
        assert said in str(error), error
        assert str(path) in str(error), error
    else:
        raise AssertionError("it was taken for ours")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, times), "it was changed"
    assert {one.name for one in path.parent.iterdir()} == before


FAMILIES = [
    Family(
        "M2",
        "a file of another program, or of a release to come, in the place of the database",
        "9, 10",
        None,
        1.0,
        strangers,
        minutes=0.1,
    )
]
