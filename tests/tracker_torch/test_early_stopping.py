from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import ask, decisions
from tracker_torch import Callback, CallbackList, EarlyStopping

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("series", "patience", "stop"),
    [
        ([4, 3, 3, 3.5, 3, 3], 3, 4),
        ([4, 3, 2.5, 2.5, 2, 2], 1, 3),
        ([2, 1, 1.5, 0.5, 0.75, 0.75, 0.75], 3, 6),
    ],
)
def test_patience_counts_epochs_since_the_last_improvement(
    feed: Any, series: list[float], patience: int, stop: int
) -> None:
    stopper = EarlyStopping(patience=patience)
    feed(series, stopper)
    assert stopper.stopped_epoch == stop
    assert decisions("EarlyStopping")[-1] == (stop, "stopped")


def test_it_does_not_stop_where_the_metric_keeps_improving(feed: Any) -> None:
    stopper = EarlyStopping(patience=1)
    feed([5, 4, 3, 2, 1], stopper)
    assert (stopper.stopped_epoch, stopper.stopped_by, stopper.wait) == (None, None, 0)


@pytest.mark.parametrize(
    ("options", "series", "cause", "words"),
    [
        ({"patience": 1}, [1, 1], "patience", "1 of 1 waits"),
        ({"stopping_threshold": 0.5}, [1, 0.5], "threshold", "reached the stopping threshold 0.5"),
        ({"divergence_threshold": 9.0}, [1, 10], "divergence", "past the divergence threshold 9"),
        ({"check_finite": True}, [1, NAN], "not-finite", "val_loss is NaN"),
        ({"check_finite": True}, [1, INF], "not-finite", "val_loss is inf"),
    ],
)
def test_why_it_stopped_is_kept_with_the_run(
    feed: Any, options: dict[str, Any], series: list[float], cause: str, words: str
) -> None:
    stopper = EarlyStopping(**{"patience": 9, **options})
    feed([*series, 0, 0, 0], stopper)
    assert (stopper.stopped_epoch, stopper.stopped_by) == (1, cause)
    ((status, reason),) = ask("SELECT status, reason FROM run")
    assert status == "stopped_early" and words in reason


class Spoilt(Callback):
    """Stops training at these epochs."""

    def __init__(self, *epochs: int) -> None:
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch in self.epochs:
            self.loop.stop(f"spoilt in epoch {epoch}")


def test_the_reason_is_that_of_the_callback_which_stopped_first(feed: Any) -> None:
    stopper = EarlyStopping(patience=1)
    feed([1, 2, 0, 0], Spoilt(1), stopper)
    assert stopper.stopped_epoch == 1
    assert ask("SELECT status, reason FROM run") == [("stopped_early", "spoilt in epoch 1")]


def test_the_reason_is_not_a_stop_that_the_loop_has_passed_over() -> None:
    loop = CallbackList([Spoilt(0, 2)], nn.Linear(2, 1), None)
    loop.on_train_begin()
    for epoch in range(3):
        loop.on_epoch_begin(epoch)
        loop.on_epoch_end(epoch, {"loss": 1.0})
    loop.on_train_end()
    assert ask("SELECT status, reason FROM run") == [("stopped_early", "spoilt in epoch 2")]


def test_a_least_number_of_epochs_is_served_first(feed: Any) -> None:
    stopper = EarlyStopping(patience=1, min_epochs=4)
    feed([1, 1, 1, 1, 1, 1], stopper)
    assert stopper.stopped_epoch == 3


@pytest.mark.parametrize(
    "bad", [{"patience": -1}, {"mode": "best"}, {"monitor": ""}, {"monitor": "x"}]
)
def test_what_cannot_be_is_refused_when_it_is_made(bad: dict[str, Any]) -> None:
    with pytest.raises(tracker.BadValue):
        EarlyStopping(**bad)


def test_a_nan_is_never_best_and_counts_as_a_wait_unless_keras_rules_are_asked_for(
    feed: Any,
) -> None:
    ours, keras = EarlyStopping(patience=2), EarlyStopping(patience=2, rules="keras-3.15")
    feed([NAN, 1, 0.5, 0.2, 0.1], ours)
    feed([NAN, 1, 0.5, 0.2, 0.1], keras)
    assert (ours.best, ours.stopped_epoch) == (0.1, None)
    assert math.isnan(keras.best) and keras.stopped_epoch == 2


def test_the_best_weights_are_kept_on_the_cpu_and_brought_back(feed: Any) -> None:
    model = nn.Linear(1, 1, bias=False)
    stopper = EarlyStopping(patience=2, restore_best_weights=True)
    loop_epochs = []

    class Change(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            loop_epochs.append(epoch)
            with torch.no_grad():
                model.weight.fill_(float(epoch))

    feed([3, 1, 2, 2, 2], Change(), stopper, model=model)
    assert loop_epochs == [0, 1, 2, 3]
    assert model.weight.item() == 1.0
    assert stopper.best_weights[""]["weight"].device.type == "cpu"
    assert decisions("EarlyStopping")[-2:] == [(3, "stopped"), (3, "restored")]


def test_weights_come_back_although_it_did_not_stop(feed: Any) -> None:
    model = nn.Linear(1, 1)
    stopper = EarlyStopping(patience=9, restore_best_weights=True)
    feed([1, 2], stopper, model=model)
    assert decisions("EarlyStopping") == [(0, "improved"), (1, "waited"), (1, "restored")]


def test_epochs_before_the_start_are_not_judged(feed: Any) -> None:
    stopper = EarlyStopping(patience=1, start_from_epoch=2)
    feed([0.1, 0.2, 5, 4, 4], stopper)
    assert (stopper.best, stopper.stopped_epoch) == (4, 4)


def test_it_says_with_keras_words_what_it_does(feed: Any, capsys: Any) -> None:
    feed([1, 2], EarlyStopping(patience=1, verbose=1, restore_best_weights=True))
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: early stopping",
        "Restoring model weights from the end of the best epoch: 1.",
    ]


def test_a_monitor_that_never_appears_is_named_with_those_that_did(feed: Any) -> None:
    with pytest.warns(UserWarning) as caught:
        feed([{"val_loss": 1.0, "loss": 2.0}] * 3, EarlyStopping("val_los", mode="min"))
    first, last = [str(one.message) for one in caught if "val_los" in str(one.message)]
    assert "only val_loss, loss. Did you mean 'val_loss'?" in first
    assert "never appeared" in last


def test_a_metric_that_comes_every_other_epoch_is_judged_when_it_comes(feed: Any) -> None:
    stopper = EarlyStopping(patience=1)
    feed([{"val_loss": 1.0}, {"loss": 1.0}, {"val_loss": 2.0}, {"val_loss": 0.0}], stopper)
    assert stopper.stopped_epoch == 2


def test_a_second_training_begins_anew(feed: Any) -> None:
    stopper = EarlyStopping(patience=1)
    feed([1, 2], stopper)
    feed([9, 8, 7], stopper)
    assert (stopper.best, stopper.stopped_epoch) == (7, None)
