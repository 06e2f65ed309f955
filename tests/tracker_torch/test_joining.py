"""One run for one training, one training for a callback, and what a corrected mistake finds."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from torch import nn

import tracker
from tests.helpers.torch_problems import Problem, ask, train
from tracker_torch import (
    BackupAndRestore,
    Callback,
    CallbackList,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    Training,
)


def test_a_callback_works_for_one_training_at_a_time(wine: Problem) -> None:
    stopper = EarlyStopping(patience=1)
    with tracker.start_run() as one, tracker.start_run() as other:
        first = Training(wine.net(), None, 2, callbacks=[stopper], run=one)
        second = Training(wine.net(), None, 2, callbacks=[stopper], run=other)
        next(epochs := first.epochs())
        with pytest.raises(
            tracker.UsageError, match=f"training of run {one.name}, and would record"
        ):
            next(second.epochs())
        list(epochs)
        train(wine, 1, stopper, run=other)
    assert ask("SELECT count(*) FROM policy") == [(2,)]


def test_two_lists_over_one_run_are_refused(feed: Any) -> None:
    with tracker.start_run():
        feed([1])
        with pytest.raises(tracker.UsageError, match="already belongs to another"):
            feed([1])


def test_a_list_may_train_again_in_its_run() -> None:
    with tracker.start_run():
        callbacks = CallbackList([], nn.Linear(1, 1))
        for epoch in (0, 1):
            callbacks.on_train_begin()
            callbacks.on_epoch_end(epoch, {"loss": 1.0})
            callbacks.on_train_end()
    assert ask("SELECT count(*) FROM epoch") == [(2,)]


def test_the_run_that_is_resumed_may_be_named_again(
    wine: Problem, recwarn: pytest.WarningsRecorder
) -> None:
    with tracker.start_run(name="r"):
        train(wine, 1, resume="r")
    for again in ("auto", "r"):
        with tracker.start_run(resume="r"):
            train(wine, 1, resume=again)
    assert ask("SELECT count(*) FROM attempt") == [(3,)]
    assert not [one for one in recwarn if "not used" in str(one.message)]


def test_a_corrected_mistake_is_taken(wine: Problem) -> None:
    class Picky(Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            raise ValueError("wrong")

    with tracker.start_run():
        with pytest.raises(tracker.UsageError, match="is active already"):
            train(wine, 1, resume="auto")
        with pytest.raises(ValueError, match="wrong"):
            next(Training(wine.net(), None, 1, callbacks=[Picky()]).epochs())
        _, training = train(wine, 1)
    assert training.run.status == "finished"


@pytest.mark.parametrize(
    "keeper",
    [
        lambda: EarlyStopping(restore_best_weights=True),
        lambda: ModelCheckpoint("a.pt"),
        lambda: BackupAndRestore("backup"),
    ],
)
def test_what_keeps_weights_asks_for_the_model(feed: Any, keeper: Any) -> None:
    callbacks = CallbackList([keeper()])
    with pytest.raises(tracker.UsageError, match=r"but there is no model: CallbackList\("):
        callbacks.on_train_begin()


def test_hooks_before_the_beginning_say_what_is_missing() -> None:
    callbacks = CallbackList([LambdaCallback(on_epoch_begin=print)], nn.Linear(1, 1))
    for hook in (callbacks.on_epoch_begin, callbacks.on_epoch_end):
        with pytest.raises(tracker.RunError, match=r"call on_train_begin\(\) first"):
            hook(0, {})
    with pytest.raises(tracker.RunError, match=r"on_train_end was called, but"):
        callbacks.on_train_end()
    callbacks.on_test_begin()  # evaluation needs no training
    assert tracker.active_run() is None


def test_an_error_before_the_loop_is_the_only_thing_said(wine: Problem) -> None:
    keeper = ModelCheckpoint("ck/a.pt", save_on_exception=True)
    with warnings.catch_warnings(), pytest.raises(ValueError, match="no data"):
        warnings.simplefilter("error")
        with Training(wine.net(), None, 1, callbacks=[keeper]):
            raise ValueError("no data")


def test_a_stop_that_is_taken_back_is_no_early_stop(wine: Problem) -> None:
    with Training(wine.net(), None, 3) as training:
        for _ in training.epochs():
            training.stop_training = True
            training.log_epoch(loss=1.0)
            training.stop_training = False
    assert training.history.epoch == [0, 1, 2]
    assert ask("SELECT status, reason FROM run") == [("finished", None)]


def test_a_run_that_the_user_ends_first_costs_no_weights(wine: Problem) -> None:
    stopper = EarlyStopping(patience=9, restore_best_weights=True)
    with tracker.start_run() as run, Training(wine.net(), None, 2, callbacks=[stopper]) as training:
        for epoch in training.epochs():
            training.log_epoch(val_loss=float(epoch))
            if epoch == 1:
                run.finish()
    assert stopper.best_epoch == 0
    assert ask("SELECT verdict FROM decision") == [("improved",), ("waited",)]


def test_a_closed_training_cannot_be_entered_again(wine: Problem) -> None:
    _, training = train(wine, 1)
    with pytest.raises(tracker.RunClosed, match="is closed"), training:
        pass
