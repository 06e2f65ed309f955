from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import Problem, ask, decisions, step
from tracker_torch import (
    CallbackList,
    History,
    LearningRateScheduler,
    LRSchedulerCallback,
    ReduceLROnPlateau,
    Training,
)

# Learning rates


def test_the_plateau_lowers_every_group_from_its_own_rate(feed: Any) -> None:
    a, b = nn.Linear(1, 1), nn.Linear(1, 1)
    optimizer = torch.optim.SGD(
        [{"params": a.parameters()}, {"params": b.parameters(), "lr": 0.2}], lr=1.0
    )
    loop = CallbackList([ReduceLROnPlateau(patience=1, factor=0.5, min_lr=0.1)], [a, b], optimizer)
    loop.on_train_begin()
    for epoch in range(4):
        loop.on_epoch_end(epoch, {"val_loss": 1.0})
    loop.on_train_end()
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.1]
    assert decisions("ReduceLROnPlateau", "d.verdict, d.lr_before, d.lr_after")[1:] == [
        ("reduced", 1.0, 0.5), ("reduced", 0.5, 0.25), ("reduced", 0.25, 0.125),
    ]  # fmt: skip


def test_a_rate_in_a_tensor_stays_in_its_tensor(feed: Any) -> None:
    rate = torch.tensor(1.0)
    model = nn.Linear(1, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, capturable=False)
    loop = CallbackList([LearningRateScheduler(lambda epoch: 0.25)], model, optimizer)
    loop.on_train_begin()
    loop.on_epoch_begin(0)
    assert optimizer.param_groups[0]["lr"] is rate and rate.item() == 0.25
    loop.on_train_end()


def test_the_schedule_is_asked_before_each_epoch_and_recorded(feed: Any, capsys: Any) -> None:
    history = History()
    feed([1, 1, 1], LearningRateScheduler(lambda epoch, lr: lr / 2, verbose=1), history)
    assert history.history["learning_rate"] == [0.05, 0.025, 0.0125]
    assert (
        "\nEpoch 1: LearningRateScheduler setting learning rate to 0.05.\n"
        in capsys.readouterr().out
    )
    assert decisions("LearningRateScheduler", "d.epoch, d.verdict, d.lr_before, d.lr_after")[0] == (
        0, "scheduled", 0.1, 0.05,
    )  # fmt: skip


def test_several_optimizers_are_named_as_in_keras(feed: Any) -> None:
    nets = {"gen": nn.Linear(1, 1), "disc": nn.Linear(1, 1)}
    optimizers = {name: torch.optim.SGD(net.parameters(), 0.1) for name, net in nets.items()}
    logs: dict[str, Any] = {"val_loss": 1.0}
    loop = CallbackList([LearningRateScheduler(lambda epoch: 0.5)], nets, optimizers)
    loop.on_train_begin()
    loop.on_epoch_begin(0)
    loop.on_epoch_end(0, logs)
    loop.on_train_end()
    assert logs == {"val_loss": 1.0, "learning_rate_gen": 0.5, "learning_rate_disc": 0.5}
    assert ask("SELECT name FROM metric ORDER BY position") == [(name,) for name in logs]


def test_torchs_own_plateau_is_stepped_and_recorded(wine: Problem) -> None:
    optimizer = torch.optim.SGD(wine.net().parameters(), 1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    loop = CallbackList([LRSchedulerCallback(scheduler)], None, optimizer)
    loop.on_train_begin()
    for epoch, value in enumerate([2, 1, 1, 1]):
        loop.on_epoch_end(epoch, {"val_loss": value})
    loop.on_train_end()
    columns = "d.verdict, d.best, d.best_epoch, d.wait, d.lr_after, d.reason"
    assert decisions("LRSchedulerCallback", columns) == [
        ("improved", 2.0, 0, 0, 1.0, "val_loss 2.000 is the first value"),
        ("improved", 1.0, 1, 0, 1.0, "val_loss 1.000 beat 2.000 (epoch 0)"),
        ("waited", 1.0, 1, 1, 1.0, "val_loss 1.000 did not beat 1.000 (epoch 1); 1 of 1 waits"),
        ("reduced", 1.0, 1, 0, 0.1, "val_loss 1.000 did not beat 1.000 (epoch 1); learning rate 1 lowered to 0.1"),
    ]  # fmt: skip


def test_a_scheduler_can_step_in_every_batch(wine: Problem) -> None:
    model = wine.net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=20)
    with Training(
        model, optimizer, 2, callbacks=[LRSchedulerCallback(scheduler, "batch")]
    ) as training:
        for _ in training.epochs():
            for x, y in training.batches(wine.loader()):
                step(model, optimizer, x, y)
    assert scheduler.last_epoch == training.step == 10
    (first, second) = decisions("LRSchedulerCallback", "d.lr_before, d.lr_after")
    assert first[0] == pytest.approx(0.02) and first[1] == second[0]


@pytest.mark.parametrize("bad", ["hour", "batch"])
def test_what_a_scheduler_cannot_do_is_refused(bad: str) -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1)
    with pytest.raises(tracker.BadValue, match="per is"):
        LRSchedulerCallback(torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer), bad)  # type: ignore[arg-type]


def test_a_learning_rate_needs_an_optimizer() -> None:
    loop = CallbackList([ReduceLROnPlateau()])
    loop.on_train_begin()
    with pytest.raises(tracker.UsageError, match="there is no optimizer"):
        loop.on_epoch_end(0, {"val_loss": 1.0})
