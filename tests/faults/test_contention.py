"""Many at once: nothing is lost, nothing is there twice, and no call waits for long."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.storage.database import Database
from tracker.storage.location import locate

WRITERS, EPOCHS = 8, 50


def test_eight_processes_record_at_once_while_somebody_reads(script: Any, oracle: Any) -> None:
    code = f"""
import sys, tracker
run = tracker.start_run("many", strict=False)
print("ready", flush=True); sys.stdin.readline()
for epoch in range({EPOCHS}):
    run.log({{"step_loss": 1.0}})
    run.log_epoch(epoch, {{"loss": float(epoch)}})
run.finish()
"""
    writers = [script(code, stdin=subprocess.PIPE) for _ in range(WRITERS)]
    for writer in writers:
        writer.stdout.readline()
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    reads = 0
    while any(writer.poll() is None for writer in writers):
        assert len(tracker.runs()) == WRITERS
        reads += 1
    assert reads > 0
    with tracker.start_run("after"):  # imports what a writer may have had to leave in its spool
        pass
    oracle.check_database()
    oracle.check_nothing_runs()
    runs = "SELECT count(*), sum(epochs) FROM run WHERE epochs > 0"
    assert oracle.rows(runs) == [(WRITERS, WRITERS * EPOCHS)]
    assert oracle.rows("SELECT count(*) FROM epoch") == [(WRITERS * EPOCHS,)]
    # What the machine does is measured every 15 seconds, in blocks with numbers of their own.
    calls = "SELECT sum(calls) FROM clock WHERE number >= 0"
    assert oracle.rows(calls) == [(WRITERS * EPOCHS,)]


def test_sixteen_first_starts_at_once_make_one_database(script: Any, oracle: Any) -> None:
    code = """
import sys, tracker.recording.start
print("ready", flush=True); sys.stdin.readline()
while True:
    try:
        run = tracker.start_run("first")
        break
    except tracker.DatabaseBusy:
        # Sixteen on a machine with much else to do: a refused start has written nothing, and may be repeated.
        pass
with run:
    run.log_epoch(0, {"loss": 1.0})
"""
    starting = [script(code, stdin=subprocess.PIPE) for _ in range(16)]
    for one in starting:
        one.stdout.readline()
    for one in starting:
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in starting:
        _, errors = one.communicate()
        assert one.returncode == 0, errors
    tracker.start_run("after").finish()
    oracle.check_database()
    names = "SELECT count(*), count(DISTINCT name), sum(epochs) FROM run WHERE experiment = 'first'"
    assert oracle.rows(names) == [(16, 16, 16)]
    assert list(Path(".tracker").glob("*.backup*")) == []


def test_a_locked_database_delays_no_call_for_long_and_loses_nothing(oracle: Any) -> None:
    run = tracker.start_run()
    longest = 0.0
    with closing(sqlite3.connect(oracle.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for epoch in range(30):
            begun = time.monotonic()
            run.log_epoch(epoch, {"loss": float(epoch)})
            longest = max(longest, time.monotonic() - begun)
    run.finish()
    assert longest < 6  # 2 on a machine that has nothing else to do
    assert [row[0] for row in oracle.rows("SELECT epoch FROM epoch ORDER BY id")] == list(range(30))


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="needs /proc")
def test_a_stopped_process_that_holds_the_lock_is_named(script: Any) -> None:
    """As by Ctrl-Z within a commit: nobody can write until it continues."""
    code = """
import os, signal, tracker
from tracker.storage.database import Database
from tracker.storage.location import locate
tracker.start_run().finish()
with Database(locate()).transaction():
    print("locked", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""
    stopped = script(code)
    stopped.stdout.readline()
    while Path(f"/proc/{stopped.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)
    said = rf"process {stopped.pid} \(.*\), which is stopped: continue it with kill -CONT {stopped.pid}"
    with (
        pytest.raises(tracker.DatabaseBusy, match=said),
        Database(locate(), patience=0.1).transaction(),
    ):
        pass
