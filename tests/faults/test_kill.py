"""kill -9 at random moments of three recording loops: what was acknowledged is there, and true."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.queries import api as queries
from tracker.storage.database import reading
from tracker.storage.location import locate
from tracker.storage.prepare import prepare

LOOP = """
import random, signal, sys
import tracker.recording.start

def loop(name):
    rng = random.Random(name)
    run = tracker.start_run("kill", name=name, resume="auto")
    folder = f"ckpt-{name.partition('.')[0]}"
    note(f"{name}.ready")
    for epoch in range(run.first_epoch, 10**6):
        loss = rng.random()
        run.log({"step_loss": loss})
        for path in (f"{folder}/best", f"{folder}/{epoch}"):
            run.save_checkpoint(path, lambda to: to.write_text(f"{epoch} {loss}"), epoch=epoch)
        run.prune_checkpoints(run.checkpoints()[:-2])
        run.log_epoch(epoch, {"loss": loss})
        note(f"{name}.acknowledged", run.id, epoch, loss)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the killed ones
for line in sys.stdin:  # imported once, forked for every writer
    if (child := os.fork()) == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        loop(line.strip())
    print(child, flush=True)
"""

WRITERS = ("a", "b", "c")
KILLS = 50


def test_nothing_acknowledged_is_lost_and_rows_and_files_agree(
    folder: Path, script: Any, note: str, oracle: Any, wait_for: Callable[[Path], None]
) -> None:
    """Every kill hits each of three writers, at a moment of its own; the next one goes on from there."""
    rng = random.Random(0)
    launcher = script(note + LOOP, stdin=subprocess.PIPE, stderr=None)
    for kill in range(KILLS):
        pids = []
        for letter in WRITERS:
            name = f"{letter}.{kill // 3}"  # a run is killed three times
            (folder / f"{name}.ready").unlink(missing_ok=True)
            launcher.stdin.write(f"{name}\n")
            launcher.stdin.flush()
            pids.append(int(launcher.stdout.readline()))
            wait_for(folder / f"{name}.ready")
        for pid in rng.sample(pids, len(pids)):
            time.sleep(rng.uniform(0, 0.05))
            kill_hard(pid)
        oracle.check_database()
        tracker.start_run("after").finish()
        oracle.check_nothing_runs()
        oracle.check_checkpoints()
        oracle.check_acknowledged(*folder.glob("*.acknowledged"))
    assert oracle.check_acknowledged(*folder.glob("*.acknowledged")) > KILLS
    assert list((folder / ".tracker").glob("spool/*")) == []


def kill_hard(pid: int) -> None:
    """Kill, and wait until it is dead."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        while True:
            os.kill(pid, 0)
            time.sleep(0.001)


def test_a_kill_while_a_run_starts_leaves_a_database_that_the_next_start_can_use(
    folder: Path, script: Any, oracle: Any
) -> None:
    code = "import sys; sys.stdout.write('.'); sys.stdout.flush(); import tracker; tracker.start_run('x')"
    rng = random.Random(0)
    for _ in range(8):
        starting = script(code)
        starting.stdout.read(1)
        time.sleep(rng.uniform(0.2, 1.2))
        starting.kill()
        starting.wait()
    said, errors = script("import tracker; tracker.start_run('last').finish()").communicate()
    assert (said, errors) == ("", "")
    oracle.check_database()
    oracle.check_nothing_runs()


FIRST_START = """
import os, signal, sys, time
from tracker.storage import migrate
from tracker.storage.prepare import prepare
from tracker.storage.location import locate

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    if (child := os.fork()) == 0:
        prepare(locate(line.strip()))
        time.sleep(60)
    print(child, flush=True)
"""


def test_a_kill_at_any_moment_of_the_first_start_leaves_what_can_be_read_and_started(
    folder: Path, script: Any
) -> None:
    """Also while SQLite changes the new file to WAL, when a journal is left that no reader can roll back."""
    rng = random.Random(0)
    launcher = script(FIRST_START, stdin=subprocess.PIPE, stderr=None)
    for number in range(120):
        database = folder / f"{number}/tracker.db"
        launcher.stdin.write(f"{database}\n")
        launcher.stdin.flush()
        pid = int(launcher.stdout.readline())
        time.sleep(rng.uniform(0, 0.03))
        kill_hard(pid)
        with reading(database) as reader:
            assert reader.empty or queries.overview(reader).rows == []
        prepare(locate(database))
        assert {path.name for path in database.parent.glob("tracker.db.*")} <= {"tracker.db.lock"}


@pytest.mark.parametrize("moment", ["before the rename", "after the rename", "before the deletion"])
def test_a_kill_at_each_moment_of_a_save_leaves_the_old_file_or_the_new_one(
    moment: str, folder: Path, script: Any, oracle: Any
) -> None:
    code = """
import os, sys, tracker
from pathlib import Path
moment = sys.argv[1]
def killed(*given, **more):
    if moment == "after the rename":
        rename(*given, **more)
    os.kill(os.getpid(), 9)
run = tracker.start_run("kill", name="x")
save = lambda epoch: run.save_checkpoint("ckpt/best", lambda path: path.write_text(str(epoch)), epoch=epoch)
save(0)
other = run.save_checkpoint("ckpt/other", lambda path: path.write_text("other"), epoch=0)
rename = Path.replace
if moment == "before the deletion":
    save(1)
    sys.addaudithook(lambda event, _: killed() if event == "os.remove" else None)
    run.prune_checkpoints([other])
else:
    Path.replace = killed
    save(1)
"""
    assert script(code, moment).wait() == -signal.SIGKILL
    script("import tracker; tracker.start_run('after').finish()").communicate()
    oracle.check_checkpoints()
    epoch = {"before the rename": 0, "after the rename": 1, "before the deletion": 1}[moment]
    best = "SELECT epoch FROM checkpoint WHERE state = 'available' AND path = 'ckpt/best'"
    assert oracle.rows(best) == [(epoch,)]
    assert (folder / "ckpt/other").exists() == (moment != "before the deletion")
