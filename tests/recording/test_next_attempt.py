"""A run that is rewound begins its next attempt at once, whatever the database does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import tracker
from tracker.errors import DatabaseBusy
from tracker.recording.recorder import Recorder
from tracker.storage import journal


@contextmanager
def hanging_writer(run: tracker.Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the writer thread hang in a commit, which holds the writer's lock."""
    hangs, continues = threading.Event(), threading.Event()
    apply: Callable[..., None] = journal.apply

    def slow(connection: Any, entries: Any) -> None:
        hangs.set()
        assert continues.wait(60)
        apply(connection, entries)

    with monkeypatch.context() as patched:
        patched.setattr(journal, "apply", slow)
        run.log({"loss": 0.0}, step=0)
        assert hangs.wait(60)
        patched.setattr(journal, "apply", apply)
        try:
            yield
        finally:
            continues.set()


def test_step_metrics_belong_to_the_attempt_that_they_were_logged_in(sql: Any) -> None:
    with tracker.start_run() as run:
        run.log({"loss": 1.0})
        run.log_epoch(0, {})
        run.log({"loss": 2.0})
        run.rewind(0)
        run.log({"loss": 3.0})
        run.log_epoch(0, {})
    assert sql("SELECT attempt, sum(calls) FROM clock WHERE number >= 0 GROUP BY 1 ORDER BY 1") == [
        (1, 2),
        (2, 1),
    ]


@pytest.mark.impatient
def test_a_writer_that_hangs_holds_up_no_rewind(monkeypatch: pytest.MonkeyPatch, sql: Any) -> None:
    run = tracker.start_run()
    run.log_epoch(0, {"loss": 1.0})
    with hanging_writer(run, monkeypatch):
        run.log({"loss": 1.0}, step=1)
        begun = time.monotonic()
        run.rewind(0)
        assert time.monotonic() - begun < 10  # 2 seconds on a machine that has nothing else to do
        run.log({"loss": 2.0}, step=2)
    run.log_epoch(0, {"loss": 2.0})
    run.finish()
    assert sql("SELECT number, status FROM attempt ORDER BY 1") == [
        (1, "finished"),
        (2, "finished"),
    ]
    assert sql("SELECT attempt, sum(calls) FROM clock WHERE number >= 0 GROUP BY 1 ORDER BY 1") == [
        (1, 2),
        (2, 1),
    ]


def test_what_the_database_cannot_take_at_a_rewind_is_written_later(sql: Any, locked: Any) -> None:
    run = tracker.start_run()
    run.log_epoch(0, {"loss": 1.0})
    with locked():
        run.log({"loss": 1.0})
        run.rewind(0)
        run.log({"loss": 2.0})
        run.rewind(0)
        run.log_epoch(0, {"loss": 2.0})
        run.rewind(0)
        run.log({"loss": 3.0})
    run.log_epoch(0, {"loss": 3.0})
    run.finish()
    assert sql("SELECT number, status FROM attempt ORDER BY 1") == [
        (number, "finished") for number in (1, 2, 3)
    ]
    assert sql("SELECT attempt, sum(calls) FROM clock WHERE number >= 0 GROUP BY 1 ORDER BY 1") == [
        (1, 1), (2, 1), (3, 1),
    ]  # fmt: skip


def test_what_one_attempt_has_cost_is_not_counted_again_in_the_next(sql: Any, locked: Any) -> None:
    run = tracker.start_run()
    with locked():
        run.log_epoch(0, {"loss": 1.0})
        run.log_epoch(1, {"loss": 1.0})
    while not sql("SELECT count(*) FROM epoch")[0][0]:
        time.sleep(0.02)
    run.rewind(0)
    run.log_epoch(0, {"loss": 2.0})
    run.finish()
    assert isinstance(run.writer, Recorder)
    assert sql("SELECT min(number), sum(spooled) FROM attempt") == [(1, run.writer.spooled)]
    assert sql("SELECT spooled >= 2 FROM attempt WHERE number = 1") == [(1,)]


@pytest.mark.impatient
def test_a_change_that_cannot_be_made_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = tracker.start_run()
    with hanging_writer(run, monkeypatch):
        run.writer.amend(lambda connection, location: None)
        assert "did not answer in time" in caplog.text


@pytest.mark.impatient
def test_strict_raises_where_the_writer_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    run = tracker.start_run(strict=True)
    with hanging_writer(run, monkeypatch):
        with pytest.raises(DatabaseBusy, match="in time"):
            run.writer.amend(lambda connection, location: None)
        with pytest.raises(DatabaseBusy, match="in time"):
            run.log_epoch(0, {})
