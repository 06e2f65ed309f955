"""However a process ends, its run says so; a forked child leaves the run to its parent."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tracker

BEGIN = """
import atexit, os, signal, sys, threading, time, warnings
# Python 3.12 and later say of any fork beside a thread that it may deadlock; what matters here is what else is said.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
import tracker
run = tracker.start_run("digits", name="x")
run.log({"step_loss": 1.0})
run.log_epoch(0, {"loss": 1.0})
"""


@pytest.mark.parametrize(
    ("ending", "code", "status", "error"),
    [
        ("", 0, "finished", None),
        ("raise ValueError('nan')", 1, "failed", "ValueError: nan"),
        ("raise KeyboardInterrupt", -2, "interrupted", "KeyboardInterrupt"),
        # What SQLAlchemy 2.0 does for a new statement: CPython then forgets the interrupt.
        (
            "atexit.register(exec, '', {}); raise KeyboardInterrupt",
            -2,
            "interrupted",
            "KeyboardInterrupt",
        ),
        ("sys.exit()", 0, "finished", None),
        ("run.at_exit = ('interrupted', 'r')", 0, "interrupted", None),
        ("run.finish('stopped_early', 'r'); sys.exit(3)", 3, "stopped_early", None),
        ("with run: sys.exit(3)", 3, "interrupted", "SystemExit: 3"),
        ("with run: sys.exit(0)", 0, "finished", None),
        ("threading.Thread(target=run.log_epoch, args=(1, {})).start()", 0, "finished", None),
        ("tracker.start_run(name='inner')", 0, "finished", None),
    ],
)
def test_an_end_of_the_process_is_an_end_of_the_run(
    ending: str, code: int, status: str, error: str | None, script: Any, sql: Any
) -> None:
    process = script(BEGIN + ending)
    _, errors = process.communicate()
    assert process.returncode == code
    assert "local-tracker" not in errors
    assert sql("SELECT status, error FROM run WHERE name = 'x'") == [(status, error)]
    assert sql("SELECT sum(calls) FROM clock WHERE number >= 0") == [(1,)]
    assert sql("SELECT count(*) FROM run WHERE status = 'running'") == [(0,)]


def test_a_strict_run_that_cannot_end_keeps_no_other_from_it(script: Any, sql: Any) -> None:
    ending = """
tracker.start_run(name="strict", database="other.db", strict=True)
os.remove("other.db")
"""
    _, errors = script(BEGIN + ending).communicate()
    assert "StoreError: The database file" in errors
    assert sql("SELECT name, status FROM run") == [("x", "finished")]


def test_a_second_ctrl_c_while_the_run_is_ended_is_not_one_of_our_errors(
    script: Any, sql: Any
) -> None:
    """Nobody wants to wait then: the process ends as by the first one, without a traceback through our code."""
    code = """
def again():
    raise KeyboardInterrupt
run.on_finish(again)
raise KeyboardInterrupt
"""
    process = script(BEGIN + code)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGINT
    assert "end_all" not in errors
    assert sql("SELECT status FROM run WHERE name = 'x'") == [("interrupted",)]


@pytest.mark.parametrize(
    "ending", ["os._exit(3)", "os.kill(os.getpid(), 11)", "os.kill(os.getpid(), 9)"]
)
def test_a_process_that_vanishes_is_lost_with_every_epoch(
    ending: str, script: Any, sql: Any
) -> None:
    """What SIGTERM leaves, which asks first, stands in test_signals.py."""
    script(BEGIN + ending).wait()
    tracker.start_run("after").finish()
    assert sql("SELECT status, epochs FROM run WHERE name = 'x'") == [("lost", 1)]


@pytest.mark.parametrize("times", [1, 2, 3])
def test_ctrl_c_inside_a_block_is_an_interruption_however_often(
    times: int, script: Any, sql: Any
) -> None:
    code = (
        BEGIN
        + "with run:\n    print('.', flush=True)\n    for n in range(10**6): run.log_epoch(n, {'a': 1.0})"
    )
    process = script(code)
    process.stdout.readline()
    for _ in range(times):
        time.sleep(0.02)
        process.send_signal(signal.SIGINT)
    process.communicate()
    tracker.start_run("after").finish()
    status, epochs = sql("SELECT status, epochs FROM run WHERE name = 'x'")[0]
    assert status == "interrupted" or (times > 1 and status == "lost")
    assert sql(
        "SELECT count(*) FROM epoch WHERE run_id IN (SELECT id FROM run WHERE name = 'x')"
    ) == [(epochs,)]
    assert sql("PRAGMA integrity_check") == [("ok",)]


def test_a_users_signal_handler_may_log_in_the_middle_of_a_call(script: Any, sql: Any) -> None:
    """The handler runs while a call of ours holds its lock: it waits a moment, then spools; it never hangs."""
    code = (
        BEGIN
        + """
import itertools
numbers = itertools.count(10_000)
def handler(*_):
    run.log_epoch(next(numbers), {"a": 1.0}); run.log({"b": 1.0})
    signal.setitimer(signal.ITIMER_REAL, 0.01)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.01)
end = time.monotonic() + 3
n = 0
while time.monotonic() < end:
    n += 1
    run.log_epoch(n, {"a": 1.0})
signal.setitimer(signal.ITIMER_REAL, 0)
print(n + 1 + next(numbers) - 10_000)
"""
    )
    said, _ = script(code).communicate(timeout=60)
    assert sql("SELECT count(*) FROM epoch") == [(int(said),)]


def test_a_users_signal_handler_may_capture_in_the_middle_of_a_capture(
    script: Any, sql: Any
) -> None:
    """As one that saves a checkpoint does for its folder; what either has captured is recorded.

    It comes again so soon that a capture which looked for what others add meanwhile would never end.
    """
    code = (
        BEGIN
        + """
calls = 0
def handler(*_):
    global calls
    run.capture(**{f"handler {calls}": 1})
    calls += 1
    signal.setitimer(signal.ITIMER_REAL, 0.002)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.002)
n = 0
while calls < 50:
    n += 1
    run.capture(loop=n)
signal.setitimer(signal.ITIMER_REAL, 0)
print(n, calls)
"""
    )
    said, _ = script(code).communicate(timeout=60)
    captured = json.loads(sql("SELECT captured FROM attempt")[0][0])
    handled = sum(name.startswith("handler ") for name in captured)
    assert [captured["loop"], handled] == [int(number) for number in said.split()]


def test_a_child_that_is_forked_while_a_thread_writes_records_a_run_of_its_own(
    script: Any, sql: Any
) -> None:
    """It has a copy of SQLite's locks, with nobody who lets go of one that was held."""
    code = (
        BEGIN
        + """
done = threading.Event()
def write():
    epoch = 0
    while not done.is_set():
        run.log_epoch(epoch, {"loss": 1.0})
        epoch += 1
    print(epoch)
thread = threading.Thread(target=write)
thread.start()
for number in range(30):
    child = os.fork()
    if child == 0:
        run.log_epoch(0, {"loss": 2.0})  # the parent's: not recorded
        with tracker.start_run("children", name=str(number)) as own:
            own.log_epoch(0, {"loss": 1.0})
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
done.set()
thread.join()
"""
    )
    said, errors = script(code).communicate(timeout=120)
    assert errors == ""
    assert sql("SELECT status, count(*) FROM run WHERE experiment = 'children' GROUP BY 1") == [
        ("finished", 30)
    ]
    [(epochs,)] = sql("SELECT epochs FROM run WHERE name = 'x'")
    assert epochs == int(said)


def test_a_thread_whose_error_nobody_catches_fails_the_run_that_it_began(
    script: Any, sql: Any
) -> None:
    code = (
        """
import threading
threading.excepthook = lambda given: print("mine", given.exc_type.__name__)
"""
        + BEGIN
        + """
def work(fails):
    own = tracker.start_run("digits", name=f"fails {fails}")
    own.log_epoch(0, {"loss": 1.0})
    1 / (not fails)
for fails in (True, False):
    thread = threading.Thread(target=work, args=[fails])
    thread.start()
    thread.join()
run.log_epoch(1, {"loss": 1.0})
"""
    )
    said, errors = script(code).communicate()
    assert (said, errors) == ("mine ZeroDivisionError\n", "")
    assert sql("SELECT name, status, error IS NULL FROM run ORDER BY name") == [
        ("fails False", "finished", 1), ("fails True", "failed", 0), ("x", "finished", 1),
    ]  # fmt: skip


def test_the_users_own_hooks_are_called_as_before(script: Any) -> None:
    code = (
        """
import sys
sys.excepthook = lambda *given: print("mine", given[0].__name__)
"""
        + BEGIN
        + "1 / 0"
    )
    said, errors = script(code).communicate()
    assert (said, errors) == ("mine ZeroDivisionError\n", "")


@pytest.mark.parametrize(
    "leaving", ["os._exit(0)", "sys.exit(0)", "sys.exit(1)", "1 / 0", "run.finish()"]
)
def test_a_forked_child_neither_records_nor_ends_the_run(
    leaving: str, script: Any, sql: Any
) -> None:
    code = (
        BEGIN
        + f"""
run.on_finish(lambda: print("the end", os.getpid(), flush=True))
held = run.log
with run:
    child = os.fork()
    if child == 0:
        sys.stderr = open(os.devnull, "w")
        assert tracker.active_run() is None and not run.recording
        held({{"a": 1.0}}); run.log({{"a": 1.0}}); run.log_epoch(1, {{"loss": 2.0}})
        {leaving}
        os._exit(0)
    os.waitpid(child, 0)
    run.log_epoch(2, {{"loss": 3.0}})
    print(os.getpid())
"""
    )
    said, errors = script(code).communicate()
    pid = said.split()[0]
    assert (said, errors) == (f"{pid}\nthe end {pid}\n", "")
    assert sql("SELECT epoch FROM epoch ORDER BY 1") == [(0,), (2,)]
    assert sql("SELECT status FROM run") == [("finished",)]
    assert sql("PRAGMA integrity_check") == [("ok",)]


def test_a_forked_child_may_record_a_run_of_its_own(script: Any, sql: Any) -> None:
    code = (
        BEGIN
        + """
child = os.fork()
if child == 0:
    with tracker.start_run(name="child") as own:
        own.log_epoch(0, {"loss": 5.0})
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
run.finish()
"""
    )
    _, errors = script(code).communicate()
    assert errors == ""
    assert sql("SELECT name, status, epochs FROM run ORDER BY name") == [
        ("child", "finished", 1), ("x", "finished", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_of_every_kind_leave_the_run_alone(
    method: str, folder: Path, script: Any, sql: Any
) -> None:
    (folder / "work.py").write_text(
        "def work(n):\n    import tracker\n    assert tracker.active_run() is None\n    return n\n"
    )
    code = (
        BEGIN
        + """
import multiprocessing
sys.path.insert(0, "")
from work import work
if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        assert pool.map(work, range(4)) == [0, 1, 2, 3]
    run.log_epoch(1, {"loss": 1.0})
"""
    )
    _, errors = script(code, method).communicate(timeout=120)
    assert errors == ""
    assert sql("SELECT status, epochs FROM run") == [("finished", 2)]


def test_an_exit_does_not_wait_for_a_database_that_is_locked(script: Any, sql: Any) -> None:
    code = (
        BEGIN
        + """
import sqlite3
other = sqlite3.connect(".tracker/tracker.db", isolation_level=None)
other.execute("BEGIN EXCLUSIVE")
for n in range(50_000): run.log({"a": 1.0})
begun = time.monotonic()
run.finish()
print(time.monotonic() - begun)
"""
    )
    said, errors = script(code).communicate(timeout=60)
    assert float(said) < 15  # 5 on a machine that has nothing else to do
    assert "waits" in errors
    tracker.start_run("after").finish()
    assert sql("SELECT status FROM run WHERE name = 'x'") == [("finished",)]
    assert sql("SELECT sum(calls) FROM clock WHERE number >= 0") == [(50_001,)]


def test_at_a_prompt_an_error_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from tracker.recording import active

    tracker.start_run().finish()
    before = len(active._exits.uncaught)
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    monkeypatch.setattr(sys, "stderr", open(os.devnull, "w"))  # noqa: PTH123, SIM115
    sys.excepthook(ValueError, ValueError("typo"), None)
    assert len(active._exits.uncaught) == before
