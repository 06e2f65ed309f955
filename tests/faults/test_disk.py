"""The database goes away in the middle of a run: training continues, and nothing is written into the void."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.storage.location import locate
from tracker.storage.spool import read_file, spool_files

FULL = """
import os, resource, tracker
run = tracker.start_run(name="full")
run.log_epoch(0, {"loss": 0.0})
size = os.path.getsize(".tracker/tracker.db-wal")
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))  # as if the disk were full
for epoch in range(1, 40):
    run.log_epoch(epoch, {"loss": float(epoch)})
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
run.log_epoch(40, {"loss": 40.0})
run.finish()
"""


def test_a_full_disk_costs_one_warning_and_no_epoch(script: Any, oracle: Any) -> None:
    _, errors = script(FULL).communicate()
    tracker.start_run("after").finish()
    oracle.check_database()
    assert "Traceback" not in errors
    assert errors.count("Training continues") == 1
    epochs = [row[0] for row in oracle.rows("SELECT epoch FROM epoch ORDER BY epoch")]
    assert epochs == list(range(41))


@pytest.mark.parametrize("gone", ["the file", "the folder"])
def test_a_database_that_is_removed_is_not_written_into(gone: str, folder: Path) -> None:
    run = tracker.start_run()
    run.log_epoch(0, {"loss": 0.0})
    if gone == "the file":
        Path(".tracker/tracker.db").unlink()
    else:
        shutil.rmtree(".tracker")
    for epoch in range(1, 4):
        run.log_epoch(epoch, {"loss": float(epoch)})
    run.finish()
    assert not Path(".tracker/tracker.db").exists()
    (spool,) = spool_files(locate())
    assert [one["epoch"] for one in read_file(spool) if one["kind"] == "epoch"] == [1, 2, 3]


def test_a_read_only_folder_is_told_at_the_start(folder: Path, script: Any) -> None:
    folder.chmod(0o500)
    _, errors = script("import tracker; tracker.start_run()", unprivileged=True).communicate()
    folder.chmod(0o700)
    assert "NotWritable" in errors
    assert "Choose another place" in errors
