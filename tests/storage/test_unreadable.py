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
