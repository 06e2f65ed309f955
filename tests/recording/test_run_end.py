"""A run ends once, honestly, and then takes nothing more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.errors import BadValue, RunClosed


def test_a_run_that_has_ended_takes_nothing_more() -> None:
    with tracker.start_run(name="mine") as run:
        policy = run.add_policy("EarlyStopping")
    file = Path("x")
    file.write_text("")
    for call in (
        lambda: run.log({"a": 1.0}),
        lambda: run.log_epoch(0, {}),
        lambda: run.log_params({}),
        lambda: run.set_tags([]),
        lambda: run.capture(a=1),
        lambda: run.log_checkpoint(file),
        lambda: run.save_checkpoint(file, Path.touch),
        lambda: run.add_policy("EarlyStopping"),
        lambda: policy.decide("waited", epoch=0, reason="r"),
    ):
        with pytest.raises(RunClosed, match="mine"):
            call()
    run.finish()
    assert run.history() == {}


@pytest.mark.parametrize(
    ("raised", "status", "error"),
    [
        (ValueError("nan in layer 3"), "failed", "ValueError: nan in layer 3"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (SystemExit(3), "interrupted", "SystemExit: 3"),
        (SystemExit(0), "finished", None),
        (SystemExit(), "finished", None),
        (KeyError(), "failed", "KeyError"),
        (asyncio.CancelledError(), "interrupted", "CancelledError"),
    ],
)
def test_a_block_that_raises_says_so_and_raises(
    raised: BaseException, status: str, error: str | None, sql: Any
) -> None:
    with pytest.raises(type(raised)), tracker.start_run():
        raise raised
    assert sql("SELECT status, error FROM run") == [(status, error)]
    assert sql("SELECT status, error FROM attempt") == [(status, error)]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_exception_without_a_text_comes_out_as_itself(sql: Any) -> None:
    with pytest.raises(Unspeakable), tracker.start_run():
        raise Unspeakable
    assert sql("SELECT error FROM run") == [("Unspeakable",)]


def test_an_endless_text_is_cut_and_a_secret_in_it_hidden(sql: Any) -> None:
    with pytest.raises(ValueError), tracker.start_run():
        raise ValueError("https://me:HUSH@host " + "x" * 10**7)
    error = sql("SELECT error FROM run")[0][0]
    assert len(error) < 30_000
    assert "HUSH" not in error


def test_a_noted_stop_is_the_reason(sql: Any) -> None:
    with tracker.start_run() as run:
        run.note_stop("val_loss did not improve")
    assert sql("SELECT status, reason FROM run") == [("stopped_early", "val_loss did not improve")]


def test_an_unknown_ending_is_refused() -> None:
    with tracker.start_run() as run, pytest.raises(BadValue, match="stopped_early"):
        run.finish("done")


def test_what_waits_for_the_end_is_called_after_the_status_is_on_disk(sql: Any) -> None:
    found = []
    with tracker.start_run() as run:
        run.on_finish(lambda: 1 / 0)
        run.on_finish(lambda: found.extend(sql("SELECT status FROM run")))
    assert found == [("finished",)]
