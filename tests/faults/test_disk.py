"""The database goes away in the middle of a run: training continues, and nothing is written into the void."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.faults.oracle import NOTE
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


FULL_DISK = (
    NOTE
    + """
import logging, os, sys, tracker
logging.basicConfig(format="%(message)s", stream=sys.stdout)
run = tracker.start_run(name="full", database=f"{sys.argv[1]}/tracker.db")
for epoch in range(int(sys.argv[2])):
    run.log_epoch(epoch, {"loss": float(epoch), "filler" * 20: 1.0})
    note("acknowledged", run.id, epoch, float(epoch))
    free = os.statvfs(sys.argv[1])
    if epoch == 5:
        filler = open(f"{sys.argv[1]}/filler", "wb", buffering=0)
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
print("end", flush=True)
os.kill(os.getpid(), 9)
"""
)


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 4 MiB; only root may make one."""
    place = folder / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("a file system of its own cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def in_memory(text: str) -> int:
    """Return how often it was said that memory is all there is, other than for a while, of a disk that was slow."""
    return text.count("waits in memory") - text.count("(the disk did not answer in time)")


def test_a_spool_has_room_on_a_disk_that_is_full(small_disk: Path, script: Any) -> None:
    """Reserved at the start; a kill then costs nothing that was acknowledged."""
    said, errors = script(FULL_DISK, small_disk, 300).communicate()
    assert "Training continues; what is recorded waits in" in said + errors
    assert in_memory(said + errors) == 0
    acknowledged = Path("acknowledged").read_text().splitlines()
    assert len(acknowledged) == 300
    (small_disk / "filler").unlink()
    database = small_disk / "tracker.db"
    tracker.start_run("after", database=database).finish()
    assert list(tracker.epochs("full", database=database)["epoch"]) == list(range(300))


def test_a_disk_without_any_room_is_said_when_memory_is_all_there_is(
    small_disk: Path, script: Any
) -> None:
    said, errors = script(FULL_DISK, small_disk, 4000).communicate()
    text = said + errors
    assert text.index("Training continues") < text.index("waits in memory")
    # A page may become free for a moment, as the file system counts them by processor: each change is said once.
    changes = re.findall(r"waits in memory|is imported later|takes records again", text)
    assert all(before != after for before, after in pairwise(changes)), changes
