"""An epoch knows how many batches were done at its end, and the learning rates of all parameter groups."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import tracker
from tracker.errors import BadValue


def test_the_steps_and_rates_of_an_epoch_are_kept(sql: Any) -> None:
    with tracker.start_run() as run:
        rates = {"body": (0.1, 0.05), "head": (np.float32(1.0), 0.5)}
        run.log_epoch(0, {"loss": 1.0}, step=4, learning_rate=0.1, learning_rates=rates)
        run.log_epoch(1, {"loss": 0.5}, step=np.int64(8))
    (first, second) = sql("SELECT step, learning_rate, learning_rates FROM epoch ORDER BY epoch")
    assert first[:2] == (4, 0.1)
    assert json.loads(first[2]) == {"body": [0.1, 0.05], "head": [1.0, 0.5]}
    assert second == (8, None, None)


def test_a_second_call_adds_to_the_epoch_and_takes_nothing_away(sql: Any) -> None:
    with tracker.start_run() as run:
        run.log_epoch(0, {"loss": 1.0}, step=4, learning_rates={"0": (0.1, 0.1)})
        run.log_epoch(0, {"acc": 1.0})
        assert sql("SELECT step, learning_rates FROM epoch") == [(4, '{"0":[0.1,0.1]}')]
        run.log_epoch(0, {}, step=5)
    assert sql("SELECT step FROM epoch") == [(5,)]


def test_a_rate_that_is_not_finite_is_kept(sql: Any) -> None:
    with tracker.start_run() as run:
        run.log_epoch(0, {}, learning_rates={"0": (math.nan, math.inf)})
    assert sql("SELECT learning_rates FROM epoch") == [('{"0":[NaN,Infinity]}',)]


@pytest.mark.parametrize("step", [-1, 1.5, True, "4", 2**63])
def test_a_step_that_is_not_a_count_is_refused(step: Any) -> None:
    with tracker.start_run() as run, pytest.raises(BadValue, match="step is"):
        run.log_epoch(0, {}, step=step)


@pytest.mark.parametrize(
    "rates", [0.1, [0.1], {"0": 0.1}, {"0": (0.1,)}, {"0": ("a", 0.1)}, {"0": None}]
)
def test_rates_that_are_not_pairs_are_refused(rates: Any) -> None:
    with tracker.start_run() as run, pytest.raises(BadValue, match="learning_rates"):
        run.log_epoch(0, {}, learning_rates=rates)


def test_a_resumed_run_knows_the_steps_done_before_it() -> None:
    run = tracker.start_run(name="a")
    assert run.steps_done() == 0
    for epoch in range(3):
        run.log_epoch(epoch, {}, step=4 * (epoch + 1))
    assert run.steps_done() == 0
    run.finish("failed")
    with tracker.start_run(name="a", resume="auto") as again:
        assert again.steps_done() == 12
        again.rewind(1)
        assert again.steps_done() == 4
        again.log_epoch(1, {}, step=9)
        again.fail(RuntimeError("no"))
    with tracker.start_run(resume="a") as third:
        assert third.first_epoch == 2
        assert third.steps_done() == 9
        third.rewind(0)
        assert third.steps_done() == 0


def test_epochs_that_do_not_say_are_passed_over() -> None:
    run = tracker.start_run(name="a")
    run.log_epoch(0, {}, step=7)
    run.log_epoch(1, {})
    run.finish("failed")
    with tracker.start_run(resume="a") as again:
        assert again.steps_done() == 7


def test_a_run_that_records_nothing_has_done_no_steps() -> None:
    with tracker.start_run(recording=False) as run:
        run.log_epoch(0, {}, step=3, learning_rates={"0": (1, 1)})
        assert run.steps_done() == 0
        with pytest.raises(BadValue):
            run.log_epoch(1, {}, step=-1)


def test_pending_epochs_keep_their_steps(locked: Any, sql: Any) -> None:
    run = tracker.start_run()
    with locked():
        run.log_epoch(0, {}, step=3, learning_rates={"0": (1, 1)})
        run.finish()
    tracker.start_run().finish()
    assert sql("SELECT step, learning_rates FROM epoch") == [(3, '{"0":[1.0,1.0]}')]
