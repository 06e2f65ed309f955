"""A writer that is interrupted, hangs or has no disk: the others go on, and what is lost is told."""

from __future__ import annotations

import errno
import os
import threading
from typing import Any

import pytest

import tracker
from tracker.series import buffer
from tracker.storage import journal, statements


def _writers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "tracker-writer"}


def _join(threads: set[threading.Thread]) -> None:
    """Wait for a run's writer: those of runs that other tests have left may wait for ever."""
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_a_ctrl_c_in_a_commit_leaves_the_database_to_the_others(
    monkeypatch: pytest.MonkeyPatch, locked: Any
) -> None:
    """Also while a traceback, as a notebook keeps it, holds the statement that was cut off."""
    run = tracker.start_run()
    added = statements._added

    def interrupted(cursor: Any, compiled: Any, values: Any) -> Any:
        found = added(cursor, compiled, values)
        if "INSERT INTO epoch " in compiled.sql:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as context:
        context.setattr(statements, "_added", interrupted)
        with pytest.raises(KeyboardInterrupt) as kept:
            run.log_epoch(0, {"loss": 1.0})
    with locked():
        assert kept.value.__traceback__ is not None
    run.log_epoch(1, {"loss": 1.0})


def test_what_no_disk_had_room_for_is_told_at_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, locked: Any
) -> None:
    run = tracker.start_run()
    run.log_epoch(0, {})

    def full(*anything: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with locked():
        monkeypatch.setattr(os, "fsync", full)
        run.log_epoch(1, {})
        assert "waits in memory, and is lost if the process ends" in caplog.text
        run.finish()
    assert "records of the run could be written nowhere" in caplog.text


@pytest.mark.impatient
def test_a_writer_that_hangs_at_the_end_costs_seconds_and_counts_what_it_costs(
    monkeypatch: pytest.MonkeyPatch, sql: Any
) -> None:
    others = _writers()
    run = tracker.start_run(name="r")
    run.log_epoch(0, {})
    hangs, goes_on = threading.Event(), threading.Event()
    apply = journal.apply

    def slow(connection: Any, entries: Any) -> None:
        apply(connection, entries)
        if threading.current_thread() not in others:
            hangs.set()
            assert goes_on.wait(60)

    monkeypatch.setattr(journal, "apply", slow)
    run.log({"m": 0.0})
    assert hangs.wait(60)
    for number in range(100):
        run.log({"m": float(number)})
    run.finish()
    goes_on.set()
    monkeypatch.undo()
    _join(_writers() - others)  # it takes in the end when it goes on
    assert sql("SELECT status FROM run WHERE name = 'r'") == [("finished",)]
    assert sql("SELECT dropped FROM attempt ORDER BY dropped DESC")[0] == (100,)


@pytest.mark.impatient
def test_a_device_that_hangs_at_the_end_is_left_to_the_writer(
    monkeypatch: pytest.MonkeyPatch, sql: Any
) -> None:
    """What the writer is reading is neither taken from it nor called lost."""
    others = _writers()
    run = tracker.start_run()
    hangs, continues = threading.Event(), threading.Event()
    pack = buffer.pack

    def slow(calls: Any, codes: Any) -> Any:
        hangs.set()
        assert continues.wait(60)
        return pack(calls, codes)

    monkeypatch.setattr(buffer, "pack", slow)
    run.log({"m": 0.0})
    assert hangs.wait(60)
    run.finish()
    continues.set()
    _join(_writers() - others)
    assert sql("SELECT sum(calls) FROM clock WHERE number >= 0") == [(1,)]
    assert sql("SELECT status, dropped FROM attempt") == [("finished", 0)]
