"""What waits for the database is told, by programs that only read."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.storage.location import locate
from tracker.storage.prepare import prepare

HELD = """
import os, sys, tracker
run = tracker.start_run(name="held")
run.log_epoch(0, {"loss": 1.0})
print("ready", flush=True)
sys.stdin.readline()
run.log_epoch(1, {"loss": 0.5})
run.log_epoch(2, {"loss": 0.4})
print("spooled", flush=True)
sys.stdin.readline()
os._exit(9)
"""


@pytest.fixture
def lock(folder: Path) -> Iterator[sqlite3.Connection]:
    """Another program's connection, which will hold the database."""
    prepare(locate())
    with closing(sqlite3.connect(".tracker/tracker.db", isolation_level=None)) as other:
        yield other


@pytest.fixture
def held(script: Callable[..., Any], lock: sqlite3.Connection) -> Any:
    """A process whose last two epochs went to the spool, because another program writes."""
    process = script(HELD, stdin=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    lock.execute("BEGIN IMMEDIATE")
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "spooled\n"
    return process


def test_what_waits_is_told_while_the_writer_lives_and_once_it_is_gone(held: Any, cli: Any) -> None:
    (spool,) = Path(".tracker/spool").glob("*.jsonl")
    before = spool.read_bytes()
    for alive in (True, False):
        said = cli("runs", "show", "held").stdout
        who = "by the training process" if alive else "when a run starts, or by tracker db doctor"
        assert f"2 records are pending in {spool.absolute()}: they will be imported {who}" in said
        shown = json.loads(cli("runs", "show", "held", "--format", "json").stdout)
        waiting = {"path": str(spool.absolute()), "records": 2, "alive": alive}
        assert shown["waiting"] == [waiting]
        assert "2 pending records" in cli("runs", "list").stderr
        doctor = cli("db", "doctor")
        assert ("2 records in" in doctor.stdout) and (doctor.exit_code == 0) is alive
        if alive:
            held.communicate("\n")
    assert spool.read_bytes() == before


def test_once_it_is_imported_nothing_waits(held: Any, cli: Any, lock: sqlite3.Connection) -> None:
    held.communicate("\n")
    lock.execute("ROLLBACK")
    assert cli("db", "doctor", "--fix").exit_code == 0
    said = cli("runs", "show", "held").stdout
    assert "Lost after 3 epochs" in said
    assert "pending in" not in said
    assert cli("runs", "list").stderr == ""


def test_an_attempt_lasted_until_its_last_epoch_when_nobody_noted_its_end(
    cli: Any, script: Callable[..., Any], sql: Any
) -> None:
    code = """
import os, tracker
run = tracker.start_run(name="long")
run.log_epoch(0, {"loss": 1.0}, seconds=0)
os._exit(9)
"""
    script(code).wait()
    with closing(sqlite3.connect(".tracker/tracker.db")) as connection, connection:
        connection.execute("UPDATE epoch SET started = (SELECT started + 70000000 FROM attempt)")
    assert "1 min 10 s" in cli("runs", "show", "--all").stdout
    cli("runs", "reap")
    assert "1 min 10 s" in cli("runs", "show", "--all").stdout


def test_one_of_a_thing_is_singular(cli: Any) -> None:
    tracker.start_run(name="one").finish()
    with closing(sqlite3.connect(".tracker/tracker.db")) as connection, connection:
        connection.execute("UPDATE attempt SET spooled = 1, dropped = 1, waited = 1")
    said = cli("runs", "show").stdout
    for part in ("1 record kept", "1 point of step metrics", "1 second of waiting"):
        assert part in said
