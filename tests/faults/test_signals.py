"""SIGTERM: schedulers send it before they kill; the run ends as interrupted, the process as it would have."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

import tracker

WAITING = """
import os, signal, sys, time, tracker
run = tracker.start_run(name="told")
run.log_epoch(0, {"loss": 1.0})
run.log({"step": 1.0})
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


def test_sigterm_interrupts_the_run_and_ends_the_process_as_ever(script: Any, sql: Any) -> None:
    told = script(WAITING)
    told.stdout.readline()
    told.send_signal(signal.SIGTERM)
    _, errors = told.communicate()
    assert (told.returncode, errors) == (-signal.SIGTERM, "")
    assert sql("SELECT status, reason FROM run") == [
        ("interrupted", "the process was asked to end (SIGTERM)")
    ]
    assert sql("SELECT sum(calls) FROM clock WHERE number >= 0") == [(1,)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_users_own_handler_is_the_one_that_runs(when: str, script: Any, sql: Any) -> None:
    own = """
import signal, sys, time, tracker
def mine(*_):
    print("mine", flush=True)
    sys.exit(3)
if sys.argv[1] == "before":
    signal.signal(signal.SIGTERM, mine)
with tracker.start_run() as run:
    if sys.argv[1] == "after":
        signal.signal(signal.SIGTERM, mine)
    print("ready", flush=True)
    while True:
        time.sleep(0.05)
"""
    told = script(own, when)
    told.stdout.readline()
    told.send_signal(signal.SIGTERM)
    said, _ = told.communicate()
    assert (said, told.returncode) == ("mine\n", 3)
    assert sql("SELECT status FROM run") == [("interrupted",)]


def test_a_forked_child_is_ended_as_by_default(script: Any, sql: Any) -> None:
    code = """
import os, signal, time, tracker
with tracker.start_run() as run:
    if (child := os.fork()) == 0:
        time.sleep(60)
        os._exit(7)
    os.kill(child, signal.SIGTERM)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    run.log_epoch(0, {"loss": 1.0})
"""
    said, errors = script(code).communicate()
    assert (said, errors) == (f"{-signal.SIGTERM}\n", "")
    assert sql("SELECT status, epochs FROM run") == [("finished", 1)]


def test_no_handler_is_left_when_no_run_is(folder: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run = tracker.start_run()
    if before is signal.SIG_DFL:
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    run.finish()
    assert signal.getsignal(signal.SIGTERM) is before
