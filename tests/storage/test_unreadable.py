"""A database that one may not read says so; it does not speak of writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracker

READ = """
import sys
from tracker.cli import program
program(sys.argv[1:], prog_name="tracker")
"""


@pytest.fixture
def database(folder: Path) -> Path:
    with tracker.start_run(name="a") as run:
        run.log_epoch(0, {"loss": 1.0})
    return folder / ".tracker" / "tracker.db"


@pytest.mark.parametrize("forbidden", ["tracker.db", "."])
@pytest.mark.parametrize(
    "words",
    [
        ["runs", "list"],
        ["runs", "list", "--database", ".tracker/tracker.db"],
        ["export"],
        ["db", "status"],
        ["db", "doctor"],
    ],
    ids=" ".join,
)
def test_what_may_not_be_read_cannot_be_read(
    database: Path, forbidden: str, words: list[str], script: Any
) -> None:
    place = database.parent / forbidden
    mode = place.stat().st_mode
    place.chmod(0)
    try:
        _, errors = script(READ, *words, unprivileged=True).communicate()
    finally:
        place.chmod(mode)
    assert "cannot be read: Permission denied" in errors, errors
    assert "written" not in errors
    assert "Traceback" not in errors


def test_the_python_side_says_the_same(database: Path, script: Any) -> None:
    database.chmod(0)
    _, errors = script("import tracker; tracker.runs()", unprivileged=True).communicate()
    assert errors.rstrip().endswith("cannot be read: Permission denied.")


KILLED = """
import os, tracker
run = tracker.start_run(name="killed")
for epoch in range(20):
    run.log_epoch(epoch, {"loss": float(epoch)})
os._exit(9)
"""


@pytest.mark.parametrize("log", ["with its log", "without a log"])
def test_a_read_only_disk_shows_all_that_was_recorded(log: str, folder: Path, script: Any) -> None:
    """Without -shm, as in a copy of a killed run's files: SQLite once read past the log, and found nothing."""
    if log == "with its log":
        script(KILLED).wait()
        assert Path(".tracker/tracker.db-wal").stat().st_size > 0
    else:
        with tracker.start_run(name="killed") as run:
            for epoch in range(20):
                run.log_epoch(epoch, {"loss": float(epoch)})
    place = folder / ".tracker"
    for name in ("tracker.db-shm", "tracker.db.lock"):
        (place / name).unlink(missing_ok=True)
    before = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    place.chmod(0o500)
    try:
        said, errors = script(READ, "epochs", "list", "killed", unprivileged=True).communicate()
        assert len(said.splitlines()) == 21, errors
        said, errors = script(READ, "db", "doctor", unprivileged=True).communicate()
        assert said.splitlines()[0].split() == ["structure", "ok"], said
    finally:
        place.chmod(0o700)
    assert {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()} == before
