"""What a batch hands to hooks and streams, and what is counted when a loop is left in the middle."""

from __future__ import annotations

import math
from itertools import count, islice
from typing import Any

import pytest
import torch

import tracker
from tests.helpers.torch_problems import Problem
from tracker_torch import BaseLogger, Callback, CallbackList, TerminateOnNaN, Training


class Heard(Callback):
    def __init__(self) -> None:
        self.batches: list[dict[str, Any]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches.append({"batch": batch, **logs})


def test_a_tensor_that_changes_after_it_was_logged_is_reported_as_it_was(wine: Problem) -> None:
    heard, loss = Heard(), torch.zeros(())
    with Training(wine.net(), None, 1, callbacks=[heard], log_every=1) as training:
        for _ in training.epochs():
            for _ in training.batches(range(2)):
                loss += 3
                training.log(loss=loss)
                loss.zero_()
    assert [one["loss"] for one in heard.batches] == [3.0, 3.0]
    assert list(tracker.metrics(training.run.id)["value"]) == [3.0, 3.0]


def test_a_nan_that_is_reset_after_it_was_logged_still_ends_training(wine: Problem) -> None:
    loss = torch.zeros(())
    with Training(wine.net(), None, 3, callbacks=[TerminateOnNaN()]) as training:
        for _ in training.epochs():
            for _ in training.batches(range(4)):
                training.log(loss=loss.fill_(math.nan))
                loss.zero_()
    assert training.step == 1 and training.run.status == "stopped_early"


def test_the_batch_that_a_loop_is_left_in_is_counted_reported_and_streamed(wine: Problem) -> None:
    heard = Heard()
    with Training(wine.net(), None, 2, callbacks=[heard], log_every=1) as training:
        for _ in training.epochs():
            for number in training.batches(range(5)):
                training.log(loss=float(number))
                if number == 1:
                    break
            assert training.step == 2 * training.epoch + 2
    assert heard.batches == [{"batch": n, "loss": float(n)} for n in (0, 1)] * 2
    assert list(tracker.metrics(training.run.id)["step"]) == [1, 2, 3, 4]


@pytest.mark.parametrize("log_every", [None, 1])
def test_an_endless_walk_over_many_epochs_counts_each_batch_once(
    wine: Problem, log_every: int | None
) -> None:
    with Training(wine.net(), None, 3, log_every=log_every) as training:
        for epoch in training.epochs():
            if epoch == 0:
                walk = training.batches(count())
            for number in islice(walk, 2):
                training.log(loss=float(number))
            training.log_epoch()
            assert training.step == 2 * epoch + 2


def test_a_batch_that_raised_is_no_step(wine: Problem) -> None:
    heard = Heard()
    with pytest.raises(ValueError), Training(wine.net(), None, 1, callbacks=[heard]) as training:
        for _ in training.epochs():
            for number in training.batches(range(5)):
                if number == 2:
                    raise ValueError
    assert training.step == 2 and len(heard.batches) == 2


def test_what_validation_logs_within_a_batch_is_not_the_batchs(wine: Problem) -> None:
    heard = Heard()
    with Training(wine.net(), None, 1, callbacks=[heard]) as training:
        for _ in training.epochs():
            for _ in training.batches(range(1)):
                training.log(loss=1.0)
                for _ in training.batches(range(3), train=False):
                    training.log(val=5.0)
                training.log(acc=2.0)
    assert heard.batches == [{"batch": 0, "loss": 1.0, "acc": 2.0}]
    assert training.history.history == {"loss": [1.0], "val": [5.0], "acc": [2.0]}


def test_a_value_that_is_refused_leaves_the_epoch_as_it_was(wine: Problem) -> None:
    with Training(wine.net(), None, 1) as training:
        for _ in training.epochs():
            training.log(loss=2.0)
            with pytest.raises(tracker.BadValue, match="acc has 2 elements"):
                training.log(loss=8.0, acc=torch.ones(2))
            with pytest.raises(tracker.BadValue, match="val has 3 elements"):
                training.log_epoch(val=torch.ones(3))
            training.log_epoch(val=3.0)
    assert training.history.history == {"val": [3.0], "loss": [2.0]}


@pytest.mark.parametrize("size", ["3", math.nan, torch.ones(2), -1, math.inf])
def test_a_batch_size_that_cannot_be_is_named(wine: Problem, size: Any) -> None:
    with Training(wine.net(), None, 1) as training:
        for _ in training.epochs():
            with pytest.raises(tracker.BadValue, match=r"batch_size (is|has)"):
                training.log(loss=2.0, batch_size=size)


def test_values_of_an_empty_batch_do_not_count(wine: Problem) -> None:
    with Training(wine.net(), None, 1) as training:
        for _ in training.epochs():
            training.log(loss=2.0, batch_size=4)
            training.log(loss=math.nan, batch_size=0)
    assert training.history.history == {"loss": [2.0]}


def test_a_tensor_without_a_value_is_refused_by_name_at_once(wine: Problem) -> None:
    empty = torch.ones((), device="meta")
    with Training(wine.net(), None, 1) as training:
        for _ in training.epochs():
            for call in (training.log, training.log_epoch):
                with pytest.raises(tracker.BadValue, match="far is"):
                    call(far=empty)


def test_a_base_logger_of_a_training_averages_in_a_list_later(wine: Problem) -> None:
    logger = BaseLogger()
    with Training(wine.net(), None, 1, callbacks=[logger]) as training:
        for _ in training.epochs():
            for _ in training.batches(range(2)):
                training.log(loss=1.0)
    callbacks = CallbackList([logger], wine.net(), add_history=True)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    callbacks.on_train_batch_end(0, {"loss": 2.0})
    callbacks.on_train_batch_end(1, {"loss": 4.0})
    callbacks.on_epoch_end(0, {})
    callbacks.on_train_end()
    assert training.history.history == {"loss": [1.0]} and callbacks.history is not None
    assert callbacks.history.history == {"loss": [3.0]}
