"""Clocks that jump, process numbers that are used again, machines that cannot be asked: who is dead, who lives."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import tracker
from tests.faults.family import Family, Result, share_of
from tests.faults.kills import kill_hard, settled, wait_for_epochs
from tests.faults.oracle import Oracle
from tests.faults.processes import Forks, Place, forks
from tests.faults.works import acknowledge, loss_of
from tests.helpers import ROOT
from tracker.process import SILENT_SECONDS
from tracker.queries.status import dead_runs
from tracker.storage.database import reading

WORKS = "tests.faults.clocks"
EPOCHS = 6
MINUTE, HOUR, YEAR = 60, 3600, 365 * 86_400
JUMPS = (-10 * YEAR, -YEAR, -HOUR, -301, -2, 0, 2, 301, HOUR, YEAR, 10 * YEAR)
"""Seconds by which the time of day is off."""


def jump(jumps: list[int], end: bool) -> None:
    """Record an epoch and a checkpoint by each of these clocks; without an end, wait to be killed."""
    run = tracker.start_run("fault", "run", system_metrics=False)
    for epoch, seconds in enumerate(jumps):
        ctypes.CDLL(None).fault_clock(ctypes.c_long(seconds))
        run.save_checkpoint(
            f"ckpt-run/{epoch}", partial(Path.write_text, data=str(epoch)), epoch=epoch
        )
        run.log({"step_loss": 1.0})
        run.log_epoch(epoch, {"loss": loss_of(epoch)})
        acknowledge(run.id, epoch, loss_of(epoch))
    if not end:
        signal.pause()
    run.finish()


def jumping(folder: Path, share: float, rng: random.Random) -> Result:
    """The clock jumps by up to ten years between two epochs; the reader's goes right."""
    result = Result()
    with forks(folder, WORKS) as starting:
        for number in range(share_of(100, share)):
            with Place(folder / str(number)) as place:
                jumps = rng.choices(JUMPS, k=EPOCHS)
                with result.trial(f"{number}, {jumps}"):
                    check_jumps(starting, place, jumps, end=rng.random() < 0.5)
    return result


def check_jumps(starting: Forks, place: Place, jumps: list[int], *, end: bool) -> None:
    """It is not called dead while it lives, and is when it does not; the order is that of what happened."""
    pid = starting.launch(place, f"{WORKS}:jump", given={"jumps": jumps, "end": end})
    wait_for_epochs(place, EPOCHS)
    oracle = Oracle(place.work)
    if end:
        starting.wait([pid], MINUTE)
    else:
        assert lost(oracle) == set(), "a living run is called lost"
        kill_hard(pid)
        assert len(lost(oracle)) == 1, "a dead run is called running"
    assert place.raised() is None, place.raised()
    settled(starting, place)
    status = "finished" if end else "lost"
    [(state, seconds)] = oracle.rows("SELECT status, seconds FROM run WHERE name = 'run'")
    assert (state, seconds >= 0) == (status, True), (state, seconds)
    assert oracle.rows("SELECT count(*) FROM epoch WHERE seconds < 0") == [(0,)]
    [(spread,)] = oracle.rows("SELECT (max(started) - min(started)) / 1e6 FROM epoch")
    # An epoch begins when the one before has ended, by the clock of that.
    begun = jumps[:-1]
    assert spread > max(begun) - min(begun) - MINUTE, "the clock did not jump"
    frame = tracker.epochs("run", database=oracle.path)
    assert list(frame["epoch"]) == list(range(EPOCHS))
    assert frame["seconds"].min() >= 0
    saved = tracker.checkpoints("run", database=oracle.path)
    assert list(saved["epoch"]) == list(range(EPOCHS))
    assert ["last" in str(alias) for alias in saved["alias"]].index(True) == EPOCHS - 1


def lost(oracle: Oracle) -> set[str]:
    """Return the runs that a reader calls lost now, which nobody has marked yet."""
    with reading(oracle.path) as reader:
        return set(dead_runs(reader.connection))


def mistaken(folder: Path, share: float, rng: random.Random) -> Result:
    """A number is used again, a machine restarts, or a process is elsewhere: dead is called dead, alive never."""
    result = Result()
    with forks(folder) as starting:
        for number in range(share_of(10 * len(CASES), share)):
            name = list(CASES)[number % len(CASES)]
            with Place(folder / str(number)) as place, result.trial(f"{number}, {name}"):
                if CASES[name](starting, place, rng):
                    result.count(name)
    return result


def used_again(starting: Forks, place: Place, rng: random.Random) -> bool:
    """Another process gets the number of the one that was killed; False where the kernel gives it to none."""
    pid = starting.launch(place, "record", given={"epochs": 10_000})
    wait_for_epochs(place, rng.randint(1, 3))
    time.sleep(0.6)
    kill_hard(pid)
    starting.collect(pid)
    other = _process_of(pid)
    if other is None:
        return False
    try:
        oracle = Oracle(place.work)
        assert len(lost(oracle)) == 1, "another process is taken for it"
        assert starting.start(place, "recover")["code"] == 0, place.raised()
        oracle.check_nothing_runs()
    finally:
        other.kill()
        other.wait()
    # What it has left of a file has its number, and stays while somebody has that.
    settled(starting, place)
    return True


def _process_of(pid: int) -> subprocess.Popen[bytes] | None:
    """Start a process with that number; only root may choose, and others may be faster."""
    for _ in range(50):
        with suppress(OSError):
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        made = subprocess.Popen(["sleep", "60"])
        if made.pid == pid:
            return made
        made.kill()
        made.wait()
    return None


def elsewhere(starting: Forks, place: Place, rng: random.Random) -> bool:
    """On another machine a process lives while it is heard of, and is dead when it was silent for long."""
    pid = starting.launch(place, "record", given={"epochs": 3})
    starting.wait([pid], MINUTE)
    oracle = Oracle(place.work)
    moved = "host = 'elsewhere', boot_id = 'another', status = 'running', pid = 1"
    for silent, dead in ((rng.uniform(0, SILENT_SECONDS - MINUTE), 0), (SILENT_SECONDS + 1, 1)):
        heartbeat = time.time_ns() // 1000 - int(silent * 1e6)
        execute(oracle, f"UPDATE attempt SET {moved}, heartbeat = {heartbeat}")
        execute(oracle, "UPDATE run SET status = 'running'")
        assert len(lost(oracle)) == dead, f"silent for {silent} s"
    settled(starting, place)
    return True


def restarted(starting: Forks, place: Place, rng: random.Random) -> bool:
    """The machine was restarted since: its processes are gone, whoever has their numbers now."""
    pid = starting.launch(place, "record", given={"epochs": 3})
    starting.wait([pid], MINUTE)
    oracle = Oracle(place.work)
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    heartbeat = int((booted - rng.uniform(0, YEAR)) * 1e6)
    execute(
        oracle,
        f"UPDATE attempt SET boot_id = 'before', status = 'running', pid = {os.getpid()}, "
        f"heartbeat = {heartbeat}",
    )
    execute(oracle, "UPDATE run SET status = 'running'")
    assert len(lost(oracle)) == 1
    settled(starting, place)
    return True


def execute(oracle: Oracle, statement: str) -> None:
    """Change the database as nothing of ours would."""

    with sqlite3.connect(oracle.path) as connection:
        connection.execute(statement)


INSIDE = """
import tracker
run = tracker.start_run("fault", "run", system_metrics=False)
run.log_epoch(0, {"loss": 1.0})
print("ready", flush=True)
input()
"""


def in_a_container(starting: Forks, place: Place, rng: random.Random) -> bool:
    """In a pid namespace of its own a process cannot be looked for by its number; its heartbeat decides."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", INSIDE]
    process = subprocess.Popen(
        command, cwd=place.work, env={**os.environ, "PYTHONPATH": paths}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    with process:
        if process.stdout.readline() != b"ready\n":
            return False  # only root may make one
        oracle = Oracle(place.work)
        assert starting.start(place, "recover")["code"] == 0, place.raised()
        assert lost(oracle) == set(), "a living run is called lost"
        assert oracle.rows("SELECT status FROM run WHERE name = 'run'") == [("running",)]
        process.kill()
    silent = int((SILENT_SECONDS + 1) * 1e6)
    execute(oracle, f"UPDATE attempt SET heartbeat = heartbeat - {silent}")
    settled(starting, place)
    return True


CASES: dict[str, Callable[[Forks, Place, random.Random], bool]] = {
    "a number that is used again": used_again,
    "another machine": elsewhere,
    "a restart": restarted,
    "a container": in_a_container,
}

FAMILIES = [
    Family(
        "T1",
        "the time of day jumps by up to ten years while a run records",
        "7",
        100,
        0.04,
        jumping,
        minutes=1.5,
    ),
    Family(
        "T2",
        "a process number is used again, a machine restarts, a process is in a container or elsewhere",
        "7",
        40,
        0.1,
        mistaken,
        minutes=1.5,
    ),
]
