"""What can be read of a damaged database is saved, whichever page is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import tracker
from tracker.maintenance.doctor import runs_with_wrong_summaries
from tracker.maintenance.salvage import salvage
from tracker.models import ALL
from tracker.storage.database import reading
from tracker.storage.location import locate

PAGE = 4096
SCHEMAS = Path(__file__).parents[1] / "storage/schemas"
Rows = dict[str, set[tuple[object, ...]]]


def rows_of(path: Path, earlier: Path | None = None) -> Rows:
    """Return the rows of our tables, by table; only the columns that an earlier database has, too."""
    with closing(sqlite3.connect(earlier or path)) as connection:
        columns = {
            table.name: [
                column for _, column, *_ in connection.execute(f"PRAGMA table_info({table.name})")
            ]
            for table in ALL
        }
    with closing(sqlite3.connect(path)) as connection:
        return {
            name: {
                tuple(map(repr, row))
                for row in connection.execute(f'SELECT {", ".join(names)} FROM "{name}"')
            }
            for name, names in columns.items()
            if names
        }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of 30 runs in one file, of which no page is anything but full of ours."""
    path = tmp_path_factory.mktemp("whole") / "tracker.db"
    params = {f"param_{number:02}": number / 7 for number in range(20)}
    for number in range(30):
        with tracker.start_run(
            f"r{number}", "e" * 200, params, tags=["a tag"], database=path
        ) as run:
            for epoch in range(3):
                run.log_epoch(
                    epoch, {f"metric_{place}": number / (epoch + place + 1) for place in range(6)}
                )
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    return path


def test_of_a_whole_database_every_row_is_saved(whole: Path, tmp_path: Path) -> None:
    counts = salvage(locate(whole), tmp_path / "saved.db")
    before = rows_of(whole)
    assert rows_of(tmp_path / "saved.db") == before
    assert counts == {name: (len(rows), 0) for name, rows in before.items()}


def test_whichever_page_is_damaged_the_others_are_saved(whole: Path, tmp_path: Path) -> None:
    before, content = rows_of(whole), whole.read_bytes()
    lost_in_part: dict[str, int] = {}
    runs_lost_in_part = 0
    for place in range(PAGE, len(content), PAGE):
        damaged, saved = tmp_path / f"{place}.db", tmp_path / f"{place}-saved.db"
        bad = bytes(PAGE) if place // PAGE % 2 else content[place - PAGE : place]
        damaged.write_bytes(content[:place] + bad + content[place + PAGE :])
        salvage(locate(damaged), saved)
        kept = {name: rows & before[name] for name, rows in rows_of(saved).items()}
        if any(kept[parents] != before[parents] for parents in ("run", "epoch", "policy")):
            runs_lost_in_part += 0 < len(kept["run"]) < len(before["run"])
            continue
        for name, rows in kept.items():
            # Not the page from which all others of a table are found.
            if rows and rows != before[name]:
                lost_in_part[name] = lost_in_part.get(name, 0) + 1
                assert len(rows) >= len(before[name]) / 4, (name, place)
    # A table of many pages loses one of them at a time.
    assert {"param", "metric", "summary"} <= lost_in_part.keys()
    assert lost_in_part["param"] >= 5 and runs_lost_in_part >= 2


@pytest.mark.parametrize("schema", ["0009", "0010", "0011"])
def test_a_file_of_an_earlier_schema_is_saved_as_well(schema: str, tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript((SCHEMAS / f"{schema}.sql").read_text())
    salvage(locate(old), tmp_path / "saved.db")
    assert rows_of(tmp_path / "saved.db", old) == rows_of(old)
    with reading(tmp_path / "saved.db") as reader:
        assert runs_with_wrong_summaries(reader.connection) == []
