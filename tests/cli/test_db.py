"""``tracker db``: status, upgrade, backup, doctor."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import tracker


@pytest.fixture
def run() -> tracker.Run:
    with tracker.start_run("digits", "a") as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"loss": 1 / (epoch + 1)})
            run.log({"x": epoch})
    return run


def facts(text: str) -> dict[str, str]:
    return {
        name.strip(): value
        for name, _, value in (line.partition("  ") for line in text.splitlines())
    }


def test_status_counts_what_is_there(run: tracker.Run, cli: Any, folder: Path) -> None:
    said = cli("db", "status").stdout
    lines = {line[:13].strip(): line[13:].strip() for line in said.splitlines()}
    assert lines["database"] == str(folder / ".tracker/tracker.db")
    assert lines["schema"].endswith("current")
    assert (lines["runs"], lines["epochs"], lines["step metrics"]) == ("1", "3", "3")


def test_status_as_json_has_numbers(run: tracker.Run, cli: Any, folder: Path) -> None:
    (found,) = json.loads(cli("db", "status", "--format", "json").stdout)
    assert found["database"] == str(folder / ".tracker/tracker.db")
    assert found["schema"].isdigit()
    assert (found["runs"], found["epochs"], found["step_metrics"]) == (1, 3, 3)
    assert found["size"] >= (folder / ".tracker/tracker.db").stat().st_size


def test_status_of_nothing_makes_nothing(cli: Any, folder: Path) -> None:
    assert "none yet" in cli("db", "status").stdout
    assert json.loads(cli("db", "status", "--format", "json").stdout)[0]["schema"] is None
    assert not any(folder.iterdir())


def test_status_of_a_newer_database_says_so_and_leaves_it(
    run: tracker.Run, cli: Any, folder: Path
) -> None:
    path = folder / ".tracker/tracker.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE tracker_schema_version SET version_num = '9999'")
    before = path.read_bytes()
    for words in (["db", "status"], ["runs", "list"], ["db", "upgrade"], ["db", "doctor"]):
        result = cli(*words)
        assert result.exit_code == 1
        assert "newer release" in result.stderr
    assert path.read_bytes() == before


def test_upgrade_makes_a_database(cli: Any, folder: Path) -> None:
    assert "has schema" in cli("db", "upgrade").stdout
    assert (folder / ".tracker/tracker.db").stat().st_mode & 0o777 == 0o600
    assert cli("db", "upgrade").exit_code == 0


def test_a_backup_can_be_read_and_is_not_overwritten(
    run: tracker.Run, cli: Any, folder: Path
) -> None:
    cli("db", "backup", "-o", "copy.db")
    assert tracker.epochs(database="copy.db")["loss"].tolist() == tracker.epochs()["loss"].tolist()
    assert cli("db", "backup", "-o", "copy.db").exit_code == 1


def test_a_healthy_database_is_all_ok(run: tracker.Run, cli: Any) -> None:
    result = cli("db", "doctor")
    assert result.exit_code == 0
    assert [line.split()[-1] for line in result.stdout.splitlines()] == ["ok"] * 9


def test_the_doctor_finds_and_mends_what_a_killed_process_left(
    run: tracker.Run, cli: Any, folder: Path, script: Callable[..., Any]
) -> None:
    code = """
import os, tracker
run = tracker.start_run(name="dies")
run.log_epoch(0, {"loss": 1.0})
open("w.pt", "w").write("1")
run.log_checkpoint("w.pt", epoch=0)
def save(path):
    path.write_text("half")
    os._exit(9)
run.save_checkpoint("x.pt", save, epoch=1)
"""
    script(code).wait()
    assert list(folder.glob(".tracker-*"))
    sick = cli("db", "doctor")
    assert sick.exit_code == 1
    assert "process is gone" in sick.stdout
    assert "temporary files" in sick.stderr
    well = cli("db", "doctor", "--fix")
    assert well.exit_code == 0, well.output
    assert not list(folder.glob(".tracker-*"))
    assert (
        cli("runs", "list", "--where", "status = 'lost'", "--format", "csv").stdout.count("\n") == 2
    )


def test_the_doctor_names_temporary_files_of_other_machines_and_calls_nothing_wrong(
    run: tracker.Run, cli: Any, folder: Path
) -> None:
    with tracker.start_run(resume="a") as again:
        again.save_checkpoint("w.pt", lambda path: path.write_text("1"), epoch=2)
    (folder / ".tracker-0badcafe-4194000-01234567-w.pt").write_text("half")
    said = cli("db", "doctor", "--fix")
    assert said.exit_code == 0
    assert "1 of other machines or containers, such as" in said.stdout


def test_the_doctor_knows_the_folders_that_nothing_was_saved_into_yet(
    run: tracker.Run, cli: Any, folder: Path, script: Callable[..., Any]
) -> None:
    """Those of a callback's configuration, when the run itself is not lost."""
    code = """
import os, tracker
run = tracker.start_run(name="ends")
run.add_policy("BackupAndRestore", config={"backup_dir": "bk"})
run.finish()
def save(path):
    path.write_text("half")
    os._exit(9)
tracker.save_file("bk/latest.pt", save)
"""
    script(code).wait()
    assert "1 of processes that are gone, such as" in cli("db", "doctor").stdout
    assert cli("db", "doctor", "--fix").exit_code == 0
    assert list((folder / "bk").iterdir()) == []


def test_the_doctor_sees_files_that_changed_and_summaries_that_lie(
    run: tracker.Run, cli: Any, folder: Path, sql: Any
) -> None:
    (folder / "w.pt").write_text("1")
    with tracker.start_run(resume="a") as again:
        again.log_checkpoint("w.pt", epoch=2)
    (folder / "w.pt").write_text("longer")
    with closing(sqlite3.connect(folder / ".tracker/tracker.db")) as connection, connection:
        connection.execute("UPDATE summary SET min = -1")
    hasty = cli("db", "doctor", "--quick")
    assert hasty.exit_code == 1
    assert "files            1 " in hasty.stdout
    assert "Not examined: structure, epochs, summaries, step metrics." in hasty.stdout
    assert cli("db", "doctor", "--quick", "--fix").exit_code == 2
    said = cli("db", "doctor")
    assert "such as w.pt" in said.stdout
    assert "1 run differs from its epochs" in said.stdout
    cli("db", "doctor", "--fix")
    assert sql("SELECT min FROM summary ORDER BY min DESC") == [(1 / 3,), (0.0,)]


def test_a_damaged_database_is_told_and_what_is_readable_is_saved(cli: Any, folder: Path) -> None:
    with tracker.start_run("digits", "a") as run:
        for epoch in range(300):
            run.log_epoch(epoch, {"loss": epoch / 7, "val_loss": epoch / 3})
    path = folder / ".tracker/tracker.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'metric'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    # Leaves of tables that hold metrics: without the page of its run, no epoch could be saved.
    pages = [
        page
        for page in range(root + 1, len(data) // size)
        if data[page * size] == 10 and b"val_loss" in data[page * size : (page + 1) * size]
    ]
    for page in random.Random(1).sample(pages, 2):
        data[page * size : page * size + 60] = bytes(60)
    path.write_bytes(data)
    sick = cli("db", "doctor")
    assert sick.exit_code == 1
    assert "--salvage" in sick.stdout
    done = cli("db", "doctor", "--salvage", "saved.db")
    assert done.exit_code == 0, done.output
    assert cli("db", "doctor", "--database", "saved.db").stdout.startswith("structure        ok")
    saved = tracker.epochs(database="saved.db")
    assert len(saved) > 100
    whole = saved[saved["val_loss"].notna()]
    assert (whole["val_loss"] == whole["epoch"] / 3).all()
    assert path.read_bytes() == bytes(data)
    assert cli("db", "doctor", "--salvage", "saved.db").exit_code == 1
