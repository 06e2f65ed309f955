"""Starting a run: names, the honest status of earlier ones, and who may go on with what."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.errors import (
    BadValue,
    NotATrackerDatabase,
    NothingToResume,
    NotWritable,
    RunBusy,
    UnknownRun,
)

KILLED = """
import os, sys, tracker
run = tracker.start_run(*sys.argv[1:3])
run.log_epoch(0, {"loss": 1.0})
os.kill(os.getpid(), 9)
"""


def test_runs_are_numbered_within_their_experiment() -> None:
    names = [tracker.start_run(experiment).name for experiment in ("a", "a", "b", None)]
    assert names == ["a-1", "a-2", "b-1", "default-1"]


def test_a_number_that_is_taken_is_passed_over() -> None:
    tracker.start_run("a", name="a-2")
    assert tracker.start_run("a").name == "a-3"


def test_two_runs_may_share_a_name() -> None:
    first, second = tracker.start_run(name="same"), tracker.start_run(name="same")
    assert first.id != second.id
    first.finish()
    second.finish()
    with tracker.start_run(resume="same") as newest, tracker.start_run(resume="same@1") as oldest:
        assert (newest.id, oldest.id) == (second.id, first.id)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(BadValue, match="name"):
        tracker.start_run(name="")


@pytest.mark.parametrize(
    "name",
    ["../up", "/abs", "a\0b", "CON", "a:b", "%2f..%2f", "x" * 4000, "\ud800", "'; DROP TABLE run"],
)
def test_a_name_is_never_a_path(name: str, folder: Path, sql: Any) -> None:
    with tracker.start_run(name, name=name, tags=[name], params={name: name}) as run:
        run.log({name: 1.0})
        run.log_epoch(0, {name: 1.0})
    assert [path.name for path in folder.iterdir()] == [".tracker"]
    assert sql("SELECT name FROM run") == [(run.name,)]
    assert {path.name for path in Path(".tracker").iterdir()} <= {
        "tracker.db", "tracker.db-wal", "tracker.db-shm", "tracker.db.lock", ".gitignore",
    }  # fmt: skip


def test_a_killed_run_is_lost_at_the_next_start_and_says_when_it_was_last_heard_of(
    script: Any, sql: Any
) -> None:
    process = script(KILLED, "digits", "dead")
    process.wait()
    assert sql("SELECT status FROM run") == [("running",)]
    tracker.start_run("digits")
    status, reason, ended = sql("SELECT status, reason, ended FROM run WHERE name = 'dead'")[0]
    assert status == "lost"
    assert str(process.pid) in reason
    assert ended == sql("SELECT heartbeat FROM attempt WHERE status = 'lost'")[0][0]


def test_a_living_run_is_left_alone(script: Any, sql: Any) -> None:
    code = "import tracker; tracker.start_run(name='alive'); print('.', flush=True); input()"
    alive = script(code, stdin=-1)
    alive.stdout.readline()
    tracker.start_run().finish()
    assert sql("SELECT status FROM run WHERE name = 'alive'") == [("running",)]


def test_a_run_belongs_to_its_parent(sql: Any) -> None:
    with tracker.start_run(name="sweep") as sweep:
        tracker.start_run(name="one", parent=sweep).finish()
        tracker.start_run(name="two", parent="sweep").finish()
        with pytest.raises(UnknownRun, match="sweeep"):
            tracker.start_run(name="three", parent="sweeep")
    assert sql("SELECT name, parent_id FROM run WHERE parent_id NOT NULL ORDER BY started") == [
        ("one", sweep.id), ("two", sweep.id),
    ]  # fmt: skip


def test_what_is_no_database_is_told_at_the_start(folder: Path) -> None:
    Path("notes.txt").write_text("my notes")
    with pytest.raises(NotATrackerDatabase, match="text file"):
        tracker.start_run(database="notes.txt")
    Path(".tracker").write_text("")
    with pytest.raises(NotWritable):
        tracker.start_run()
    assert tracker.active_run() is None


def test_a_failed_start_leaves_no_run(sql: Any) -> None:
    tracker.start_run(name="there").finish()
    with pytest.raises(NothingToResume, match="did you mean there"):
        tracker.start_run(resume="ther3")
    with pytest.raises(BadValue):
        tracker.start_run(params={"x": 10**5000})
    assert sql("SELECT count(*) FROM run") == [(1,)]
    assert tracker.active_run() is None


def test_the_names_there_are_end_a_sentence() -> None:
    for there, words in ((None, "there are none. To resume"), ("xyz", "there are xyz. To resume")):
        if there:
            tracker.start_run(name=there).finish()
        with pytest.raises(NothingToResume, match=words):
            tracker.start_run(resume="nope")


@pytest.mark.parametrize("resume", ["", "nothing like it"])
def test_what_names_no_run_cannot_be_resumed(resume: str) -> None:
    tracker.start_run(name="only").finish()
    with pytest.raises((NothingToResume, BadValue)):
        tracker.start_run(resume=resume)


def test_a_run_that_is_being_recorded_is_refused_with_pid_and_host() -> None:
    tracker.start_run(name="mine")
    with pytest.raises(RunBusy, match=rf"process {os.getpid()} on"):
        tracker.start_run(resume="mine")
    with pytest.raises(RunBusy):
        tracker.start_run(name="mine", resume="auto")


def test_auto_goes_on_with_the_newest_unfinished_run_of_the_experiment(script: Any) -> None:
    for name in ("older", "newer"):
        script(KILLED, "digits", name).wait()
    script(KILLED, "other", "elsewhere").wait()
    tracker.start_run("digits", name="done").finish()
    with tracker.start_run("digits", resume="auto") as run:
        assert (run.name, run.attempt, run.first_epoch) == ("newer", 2, 1)
    with tracker.start_run("digits", name="older", resume="auto") as run:
        assert (run.name, run.attempt) == ("older", 2)
    with tracker.start_run("digits", resume="auto") as run:
        assert (run.name, run.attempt) == ("digits-4", 1)


def test_auto_leaves_a_living_run_of_the_same_sweep_alone() -> None:
    alive = tracker.start_run("sweep")
    assert tracker.start_run("sweep", resume="auto").id != alive.id


def test_of_two_that_resume_at_once_one_is_refused(script: Any) -> None:
    script(KILLED, "digits", "dead").wait()
    code = """
import sys, tracker
print("ready", flush=True); sys.stdin.readline()
try:
    run = tracker.start_run(resume="dead")
    print(run.attempt, flush=True)
except tracker.RunBusy as error:
    print("busy", flush=True)
sys.stdin.readline()
"""
    both = [script(code, stdin=-1) for _ in range(2)]
    for one in both:
        one.stdout.readline()
    for one in both:
        one.stdin.write("go\n")
        one.stdin.flush()
    assert sorted(one.stdout.readline().strip() for one in both) == ["2", "busy"]


def test_threads_may_start_runs_at_once(sql: Any) -> None:
    threads = [threading.Thread(target=lambda: tracker.start_run("t").finish()) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sql("SELECT count(DISTINCT name), count(*) FROM run WHERE status = 'finished'") == [
        (8, 8)
    ]


def test_a_run_that_records_nothing_is_the_active_one_until_it_ends(sql: Any) -> None:
    with tracker.start_run("outer") as outer:
        with tracker.start_run(recording=False) as silent:
            assert tracker.active_run() is silent
        assert tracker.active_run() is outer
        silent = tracker.start_run(recording=False)
        assert tracker.active_run() is silent
        silent.finish()
        assert tracker.active_run() is outer
    assert sql("SELECT experiment FROM run") == [("outer",)]


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"params": [("lr", 0.1)]}, "a dict of names and values"),
        ({"params": "lr"}, "a dict of names and values"),
        ({"tags": 3}, "names, or a dict of names and values"),
    ],
)
def test_params_and_tags_without_names_are_refused(
    given: dict[str, Any], wanted: str, recording: bool
) -> None:
    """At the start and later, also by a process that records nothing."""
    ((what, value),) = given.items()
    told = re.escape(f"{what} is {value!r}") + f".*: pass {wanted}"
    with pytest.raises(BadValue, match=told):
        tracker.start_run(**given, recording=recording)
    assert tracker.active_run() is None
    with tracker.start_run(recording=recording) as run, pytest.raises(BadValue, match=told):
        {"params": run.log_params, "tags": run.set_tags}[what](value)
