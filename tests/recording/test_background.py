"""Saving beside the training: one file at a time, no error is lost, and the run ends after its files."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import tracker
from tracker.recording import run as run_module

Save = Callable[[Path], object]


def held(until: threading.Event, content: str) -> Save:
    """Return a function that writes a file once the event is set."""

    def save(path: Path) -> None:
        assert until.wait(60)
        path.write_text(content)

    return save


def fails() -> None:
    raise OSError(28, "No space left on device")


def test_a_save_goes_on_beside_its_caller_and_the_next_waits_for_it() -> None:
    free, order = threading.Event(), []
    with tracker.start_run() as run:
        saver = run.background_saver()
        saver.begin(lambda: order.append(("first", free.wait(60))))
        assert not saver.wait(0.0)
        releasing = threading.Timer(0.05, free.set)
        releasing.start()
        saver.begin(lambda: order.append(("second", True)))
        assert order[0] == ("first", True)
    assert order == [("first", True), ("second", True)]


def test_an_error_comes_out_at_the_next_save_which_is_not_made_and_only_once() -> None:
    made: list[int] = []
    with tracker.start_run() as run:
        saver = run.background_saver()
        saver.begin(fails)
        with pytest.raises(OSError, match="No space"):
            saver.begin(lambda: made.append(1))
        saver.begin(lambda: made.append(2))
        saver.finish()
    assert made == [2]


def test_an_error_that_nobody_asked_for_is_logged_when_the_run_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with tracker.start_run(name="r") as run:
        run.background_saver().begin(fails)
    assert "a checkpoint of run r could not be saved: OSError" in caplog.text
    assert run.status == "finished"


def test_a_run_ends_after_the_file_that_is_being_saved_is_in_it(sql: Callable[..., object]) -> None:
    free = threading.Event()
    with tracker.start_run() as run:
        saver = run.background_saver()
        saver.begin(lambda: run.save_checkpoint("a", held(free, "new"), epoch=0))
        threading.Timer(0.05, free.set).start()
    assert Path("a").read_text() == "new"
    assert sql("SELECT state, pending FROM checkpoint") == [("available", 0)]


def test_a_process_that_is_asked_to_end_does_not_wait_for_a_disk_that_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run_module, "TERMINATION_SECONDS", 0.05)
    free = threading.Event()
    Path("a").write_text("old")
    run = tracker.start_run(name="r")
    saver = run.background_saver()
    saver.begin(lambda: run.save_checkpoint("a", held(free, "new"), epoch=0))
    run.interrupt("asked to end")
    assert run.status == "interrupted" and Path("a").read_text() == "old"
    assert "run r ends while a checkpoint is being saved" in caplog.text
    free.set()


def test_the_end_of_a_save_may_end_its_run(caplog: pytest.LogCaptureFixture) -> None:
    """A training that nobody holds any more may be found by the thread that saves."""
    caplog.set_level(logging.WARNING)
    run = tracker.start_run()
    saver, done = run.background_saver(), threading.Event()
    saver.begin(lambda: (run.finish(), done.set()))
    assert done.wait(60) and run.finished
    assert caplog.text == ""


def test_a_fork_leaves_the_save_to_its_parent() -> None:
    free = threading.Event()
    with tracker.start_run() as run:
        saver = run.background_saver()
        saver.begin(lambda: run.save_checkpoint("a", held(free, "new"), epoch=0))
        if (child := os.fork()) == 0:
            saver.finish()
            run.finish()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        free.set()
        saver.finish()
        assert [one.epoch for one in run.checkpoints()] == [0]


def test_a_checkpoint_that_is_being_saved_is_waited_for_before_one_is_loaded() -> None:
    free, found = threading.Event(), []
    with tracker.start_run() as run:
        saver = run.background_saver()
        saver.begin(lambda: run.save_checkpoint("a.bin", held(free, "new"), epoch=1))

        def load() -> None:
            with pytest.raises(tracker.BadValue, match=r"a\.bin does not end in one of"):
                tracker.load_checkpoint(run, "last")
            found.append(Path("a.bin").read_text())

        loading = threading.Thread(target=load)
        loading.start()
        loading.join(0.1)
        assert loading.is_alive()
        free.set()
        loading.join(60)
    assert found == ["new"]


def test_a_save_sees_the_active_run_of_its_caller() -> None:
    seen: list[object] = []
    with tracker.start_run() as run:
        saver = run.background_saver()
        saver.begin(lambda: seen.append(tracker.active_run()))
        saver.finish()
        assert seen == [run]


def test_what_was_saved_before_a_rewind_belongs_to_what_was_trained_before(
    sql: Callable[..., object],
) -> None:
    free = threading.Event()
    with tracker.start_run() as run:
        run.log_epoch(0, {"loss": 1.0})
        saver = run.background_saver()
        saver.begin(lambda: run.save_checkpoint("a", held(free, "new"), epoch=0))
        threading.Timer(0.05, free.set).start()
        run.rewind(0)
        run.log_epoch(0, {"loss": 2.0})
    assert sql("SELECT attempt FROM checkpoint") == [(1,)]


def test_a_run_that_has_ended_gives_no_thread() -> None:
    with tracker.start_run() as run:
        pass
    with pytest.raises(tracker.RunClosed):
        run.background_saver()
