"""Runs are deleted whole, or it is said what is left of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.errors import RunBusy
from tracker.maintenance import edits
from tracker.storage.location import locate

RECORD = """
import os, sys, tracker
from pathlib import Path
from tracker.maintenance import edits
from tracker.storage.location import locate
with tracker.start_run(name="a") as run:
    for name in ("first", "second"):
        run.save_checkpoint(f"{name}/w.pt", lambda path: path.write_text(name), epoch=0)
"""


def test_a_file_that_cannot_be_deleted_is_told_and_the_others_go(
    folder: Path, script: Any, sql: Any
) -> None:
    code = """
Path("first").chmod(0o500)
gone = edits.delete(locate(None), [run.id], files=True)
Path("first").chmod(0o700)
print([path.parent.name for path in gone.files], *gone.kept.items())
"""
    said, errors = script(RECORD + code, unprivileged=True).communicate()
    assert errors == ""
    assert said.startswith("['second']")
    assert "it cannot be deleted: Permission denied" in said
    assert (folder / "first/w.pt").exists() and not (folder / "second/w.pt").exists()
    assert sql("SELECT count(*) FROM run") == [(0,)]


def test_a_run_that_is_resumed_while_its_files_go_keeps_its_records(script: Any, sql: Any) -> None:
    """It is resumed the moment before the first file goes, which the audit hook sees."""
    code = """
again = []
def hook(event, arguments):
    if event == "os.remove" and str(arguments[0]).endswith("w.pt") and not again:
        again.append(None)
        tracker.start_run(resume="a")
sys.addaudithook(hook)
try:
    edits.delete(locate(None), [run.id], files=True)
except tracker.RunBusy as error:
    print(error)
"""
    said, errors = script(RECORD + code).communicate()
    assert errors == ""
    assert "The run a " in said
    assert said.endswith("Stop it first. 2 files were deleted, but no record.\n")
    assert sql("SELECT number FROM attempt") == [(1,), (2,)]
    assert sql("SELECT state, pending FROM checkpoint") == [("pruned", 0), ("pruned", 0)]


def test_a_run_that_is_being_recorded_stays_with_its_files(folder: Path) -> None:
    run = tracker.start_run(name="a")
    made = run.save_checkpoint("w.pt", lambda path: path.write_text("1"), epoch=0)
    with pytest.raises(RunBusy, match=r"The run a .* Stop it first\. Nothing was deleted\."):
        edits.delete(locate(None), [run.id], files=True)
    assert made.path.exists() and run.checkpoints() == [made]
