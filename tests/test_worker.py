"""A worker does what it is handed in a thread of its own, once its owner is whole."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import tracker
from tracker.recording import recorder
from tracker.worker import Worker


def test_nothing_runs_before_the_start_but_what_is_handed_over() -> None:
    idle = threading.Event()
    worker = Worker("tried", idle.set, every=0.0)
    assert not worker.is_working
    assert worker.submit(threading.current_thread).wait() is threading.current_thread()
    assert not idle.is_set()
    worker.start()
    assert idle.wait(60)
    assert worker.submit(threading.current_thread).wait() is not threading.current_thread()
    worker.stop()
    worker.join(60)


def test_what_is_due_is_done_between_jobs_that_follow_closely() -> None:
    idle = threading.Event()
    worker = Worker("tried", idle.set, every=0.05)
    worker.start()
    jobs = [worker.submit(lambda: time.sleep(0.01)) for _ in range(100)]
    jobs[-1].wait(60)
    was_idle = idle.is_set()
    worker.stop()
    worker.join(60)
    assert was_idle


def test_a_recorder_that_takes_long_to_make_is_not_used_before_it_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(recorder.Questions):
        def __init__(self, *given: Any) -> None:
            time.sleep(0.1)
            super().__init__(*given)

    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    monkeypatch.setattr(recorder, "FLUSH_SECONDS", 0.001)
    monkeypatch.setattr(recorder, "Questions", Slow)
    with tracker.start_run() as run:
        run.log({"loss": 1.0})
    assert raised == []
    assert len(tracker.metrics(run)) == 1
