"""What a training is made with, and what is logged, is refused at once where it cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import Problem
from tracker_torch import CallbackList, EarlyStopping, ModelCheckpoint, TensorBoard, Training


def adam(model: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(model.parameters())


@pytest.mark.parametrize("value", [0, -1, 2.5, "x", True])
def test_log_every_is_a_whole_number(wine: Problem, value: Any) -> None:
    with pytest.raises(
        tracker.BadValue, match=f"log_every is {value!r}: it must be a whole number"
    ):
        Training(wine.net(), None, 1, log_every=value)


@pytest.mark.parametrize("value", [None, "3", 2.0, -1, True])
def test_epochs_is_a_whole_number(wine: Problem, value: Any) -> None:
    with pytest.raises(tracker.BadValue, match=f"epochs is {value!r}: it must be a whole number"):
        Training(wine.net(), None, value)


def test_one_callback_is_a_list_of_one_and_none_is_none(wine: Problem) -> None:
    stopper = EarlyStopping()
    assert stopper in Training(wine.net(), None, 1, callbacks=stopper).callbacks.callbacks
    assert CallbackList(stopper, wine.net()).callbacks == [stopper]
    assert CallbackList(None, wine.net()).callbacks == []


MIXED_UP = {
    "swapped": (lambda net: (adam(net), net), "model is an Adam: pass a torch.nn.Module"),
    "parameters": (lambda net: (net.parameters(), None), "model is a generator: pass"),
    "a list of them": (lambda net: (list(net.parameters()), None), "model holds a Parameter"),
    "no optimizer": (lambda net: (net, net), "optimizer is a Sequential: pass a torch.optim"),
}


@pytest.mark.parametrize("case", MIXED_UP)
def test_model_and_optimizer_are_what_they_are_called(wine: Problem, case: str) -> None:
    make, words = MIXED_UP[case]
    with pytest.raises(tracker.UsageError, match=words):
        Training(*make(wine.net()), 1)


@pytest.mark.parametrize("name", ["{}.pt", "{0}.pt"])
def test_a_field_of_a_file_has_a_name(name: str) -> None:
    with pytest.raises(tracker.BadValue, match="names nothing"):
        ModelCheckpoint(name)


def test_other_words_are_refused_by_the_arguments_own_name() -> None:
    with pytest.raises(tracker.BadValue, match="save_last is 'lnk'"):
        ModelCheckpoint("a.pt", save_last="lnk")
    with pytest.raises(tracker.BadValue, match="update_freq is 'epochs'"):
        TensorBoard(update_freq="epochs")
    with pytest.raises(tracker.BadValue, match="histogram_freq is -1"):
        TensorBoard(histogram_freq=-1)


NAMELESS = {
    "epoch": (lambda t: t.log_epoch(t.epoch, val_loss=1.0), "metrics, not the epoch number 0"),
    "number": (lambda t: t.log(0.5), r"give it one: log\(loss=…\)"),
    "tensor": (lambda t: t.log(torch.ones(())), r"a Tensor without a name.*log\(loss=…\)"),
    "result": (lambda t: t.log_epoch(0.5), r"log_epoch\(val_loss=…\)"),
}


@pytest.mark.parametrize("case", NAMELESS)
def test_a_number_without_a_name_is_asked_for_one(wine: Problem, case: str) -> None:
    call, words = NAMELESS[case]
    with Training(wine.net(), None, 1) as training:
        for _ in training.epochs():
            with pytest.raises(tracker.BadValue, match=words):
                call(training)


def test_names_that_are_no_text_become_text(wine: Problem) -> None:
    callbacks = CallbackList([], wine.net(), add_history=True)
    with Training(wine.net(), None, 1, run=tracker.start_run()) as training:
        for _ in training.epochs():
            training.log({1: 2.0})  # type: ignore[dict-item]
            training.log_epoch({2: 3.0})  # type: ignore[dict-item]
    assert training.history.history == {"2": [3.0], "1": [2.0]}
    training.run.finish()
    callbacks.on_train_begin()
    callbacks.on_epoch_end(0, {1: 2.0})  # type: ignore[dict-item]
    callbacks.on_train_end()
    assert callbacks.history is not None and callbacks.history.history == {"1": [2.0]}
