"""``tracker runs watch`` reads what is new, however long the run is."""

from __future__ import annotations

from typing import Any

import pytest

import tracker
from tracker.queries.new_epochs import new_epochs
from tracker.storage.database import reading


def recorded_after(run: tracker.Run, last: Any) -> list[tuple[int, int, dict[str, float]]]:
    with reading() as reader:
        return [(one.attempt, one.epoch, one.metrics) for one in new_epochs(reader, run.id, last)]


def test_only_epochs_that_follow_the_last_one_are_read() -> None:
    with tracker.start_run("digits", "a") as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"loss": float(epoch), "acc": 0.5})
        with reading() as reader:
            first, *_, last = new_epochs(reader, run.id)
        assert recorded_after(run, last) == []
        assert [epoch for _, epoch, _ in recorded_after(run, first)] == [1, 2]
        run.log_epoch(3, {"loss": float("inf")})
        ((_, epoch, metrics),) = recorded_after(run, last)
    assert (epoch, metrics) == (3, {"loss": float("inf")})


def test_epochs_that_a_later_attempt_repeats_are_new() -> None:
    with tracker.start_run("digits", "a") as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"loss": 1.0})
    with reading() as reader:
        last = new_epochs(reader, run.id)[-1]
    with tracker.start_run(resume=run.id) as again:
        again.rewind(1)
        again.log_epoch(1, {"loss": 0.5})
    assert [(epoch, metrics) for _, epoch, metrics in recorded_after(run, last)] == [
        (1, {"loss": 0.5})
    ]


def test_an_epoch_without_metrics_is_there() -> None:
    with tracker.start_run("digits", "a") as run:
        run.log_epoch(0, {})
    assert [metrics for _, _, metrics in recorded_after(run, None)] == [{}]


@pytest.mark.parametrize("every", ["0.05"])
def test_an_ended_run_is_printed_once(cli: Any, every: str) -> None:
    with tracker.start_run("digits", "a") as run:
        run.log_epoch(0, {"loss": 0.25}, seconds=2.0)
    said = cli("runs", "watch", "--every", every).stdout.splitlines()
    assert said == ["epoch    0       2 s  loss 0.25", "Finished after 1 epoch."]
