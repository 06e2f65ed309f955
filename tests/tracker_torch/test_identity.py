"""A callback is found again by what it is and watches, and leaves its training behind."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import decisions
from tracker_torch import (
    BackupAndRestore,
    Callback,
    CallbackList,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
)


class Killed(Exception):
    """Stands for a kill: nothing of the loop runs afterwards."""


def part(callbacks: list[Any], end: int | None = None) -> nn.Module:
    """Train a weight to epoch + 1, with two metrics that are best at epochs 0 and 2."""
    model = nn.Linear(1, 1, bias=False)
    try:
        with tracker.start_run("two", resume="auto"):
            loop = CallbackList(callbacks, model, torch.optim.SGD(model.parameters(), 0.1))
            loop.on_train_begin()
            for epoch in range(loop.first_epoch, 5):
                if epoch == end:
                    raise Killed
                nn.init.constant_(model.weight, epoch + 1)
                loop.on_epoch_end(
                    epoch, {"a_loss": [1, 2, 3, 4, 5][epoch], "b_loss": [3, 2, 1, 4, 5][epoch]}
                )
            loop.on_train_end()
    except Killed:
        pass
    return model


def stopper(monitor: str, **options: Any) -> EarlyStopping:
    return EarlyStopping(monitor, patience=9, restore_best_weights=True, **options)


def test_the_best_weights_come_back_to_the_callback_of_the_same_monitor(folder: Any) -> None:
    part([stopper("a_loss"), stopper("b_loss"), BackupAndRestore("bk")], end=4)
    b, a = stopper("b_loss"), stopper("a_loss")
    part([b, a, BackupAndRestore("bk")])
    assert [one.best_epoch for one in (a, b)] == [0, 2]
    assert [one.best_weights[""]["weight"].item() for one in (a, b)] == [1, 3]
    assert [epoch for epoch, verdict in decisions("EarlyStopping") if verdict == "restored"] == [
        4,
        4,
    ]


def test_equals_are_told_apart_by_their_place(folder: Any) -> None:
    def both() -> list[EarlyStopping]:
        return [stopper("b_loss"), stopper("b_loss", mode="max")]

    part([*both(), BackupAndRestore("bk")], end=4)
    low, high = both()
    part([low, high, BackupAndRestore("bk")])
    assert [one.best_weights[""]["weight"].item() for one in (low, high)] == [3, 5]


def test_best_weights_of_another_epoch_than_the_recorded_best_are_not_used(folder: Any) -> None:
    """They would be restored under the name of an epoch that they are not from."""
    odd = stopper("b_loss")
    odd.set_state({"state": {"best_epoch": 7}, "best_weights": {"": {"weight": torch.ones(1, 1)}}})
    part([stopper("b_loss")], end=4)
    with pytest.warns(UserWarning, match="cannot restore the weights of epoch 2"):
        part([odd])


def test_a_callback_of_ones_own_is_known_by_its_class(folder: Any) -> None:
    class Counter(Callback):
        seen = 0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seen += 1

        def get_state(self) -> dict[str, Any]:
            return {"seen": self.seen}

        def set_state(self, saved: Any) -> None:
            self.seen = saved["seen"]

    part([Counter(), stopper("a_loss"), BackupAndRestore("bk")], end=4)
    counter = Counter()
    part([BackupAndRestore("bk"), stopper("a_loss"), counter])
    assert counter.kind == "Counter" and counter.seen == 5


def test_copies_and_pickles_leave_model_and_loop_behind(feed: Any) -> None:
    one = EarlyStopping(patience=3)
    feed([2, 1], one, model=nn.Linear(500, 500))
    assert one.model is not None and len(pickle.dumps(one)) < 10_000
    other = copy.deepcopy(one)
    assert other.model is None and other.params is None and other.best_epoch == 1


def test_a_skipped_epoch_names_the_metrics_there_were(feed: Any) -> None:
    judges = [EarlyStopping(), ReduceLROnPlateau(), ModelCheckpoint("a.pt", save_best_only=True)]
    with pytest.warns(UserWarning, match="watches 'val_loss'"):
        feed([{"val_los": 1.0, "learning_rate": 0.1}], *judges)
    sentence = "there is no val_loss at this epoch, only val_los, learning_rate"
    assert decisions(None, "d.reason") == [(sentence,)] * 3
