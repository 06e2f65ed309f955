"""The learning rate of an epoch is the one that it was trained with, whoever changes it and when."""

from __future__ import annotations

import copy
import gc
import json
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.optimizer import _global_optimizer_pre_hooks

from tests.helpers.torch_problems import ask
from tracker_torch import CallbackList, LRSchedulerCallback, ReduceLROnPlateau, Training


def made(rate: Any = 0.1, **options: Any) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(2, 1)
    return model, torch.optim.SGD(model.parameters(), lr=rate, **options)


def train_on_a_batch(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.ones(4, 2)).mean().backward()
    optimizer.step()


def recorded() -> list[float]:
    return [rate for (rate,) in ask("SELECT learning_rate FROM epoch ORDER BY epoch")]


def test_a_scheduler_that_is_stepped_before_log_epoch() -> None:
    model, optimizer = made()
    scheduler = lr_scheduler.StepLR(optimizer, 1, 0.5)
    with Training(model, optimizer, 3, scheduler=scheduler) as training:
        for _ in training.epochs():
            train_on_a_batch(model, optimizer)
            scheduler.step()
            training.log_epoch()
    assert recorded() == [0.1, 0.05, 0.025]


def test_torchs_plateau_with_the_metric_of_the_epoch() -> None:
    model, optimizer = made()
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    with Training(model, optimizer, 3, scheduler=scheduler) as training:
        for _ in training.epochs():
            train_on_a_batch(model, optimizer)
            scheduler.step(1.0)
            training.log_epoch(val_loss=1.0)
    assert recorded() == [0.1, 0.1, 0.05]


@pytest.mark.parametrize("with_begin", [True, False])
def test_hooks_that_are_called_by_hand(with_begin: bool) -> None:
    model, optimizer = made()
    scheduler = lr_scheduler.StepLR(optimizer, 1, 0.5)
    loop = CallbackList([], model, optimizer, scheduler=scheduler)
    loop.on_train_begin()
    for epoch in range(3):
        if with_begin:
            loop.on_epoch_begin(epoch)
        train_on_a_batch(model, optimizer)
        scheduler.step()
        loop.on_epoch_end(epoch, {"loss": 1.0})
    loop.on_train_end()
    assert recorded() == [0.1, 0.05, 0.025]


def test_a_rate_that_the_body_of_the_loop_sets() -> None:
    model, optimizer = made()
    with Training(model, optimizer, 2) as training:
        for epoch in training.epochs():
            optimizer.param_groups[0]["lr"] = 1.0 / (epoch + 1)
            train_on_a_batch(model, optimizer)
            optimizer.param_groups[0]["lr"] = 7.0
            training.log_epoch()
    assert recorded() == [1.0, 0.5]


def test_a_scheduler_that_is_stepped_in_every_batch_gives_the_rate_of_the_last_batch() -> None:
    for who in ("loop", "callback"):
        model, optimizer = made()
        scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
        callbacks = [LRSchedulerCallback(scheduler, "batch")] if who == "callback" else []
        with Training(model, optimizer, 2, callbacks=callbacks, name=who) as training:
            for _ in training.epochs():
                for _ in training.batches(range(2)):
                    train_on_a_batch(model, optimizer)
                    if who == "loop":
                        scheduler.step()
        assert training.run.name == who
    assert sorted(recorded()) == pytest.approx([0.0125, 0.0125, 0.05, 0.05])


def test_a_rate_in_a_tensor_which_is_changed_in_place() -> None:
    model, optimizer = made(torch.tensor(0.5))
    with Training(model, optimizer, 2) as training:
        for _ in training.epochs():
            train_on_a_batch(model, optimizer)
            optimizer.param_groups[0]["lr"].mul_(0.5)
            training.log_epoch()
    assert recorded() == [0.5, 0.25]


def test_a_scaler_and_a_closure_and_several_optimizers() -> None:
    model, sgd = made()
    other = nn.Linear(2, 1)
    lbfgs = torch.optim.LBFGS(other.parameters(), lr=0.25)
    scaler = torch.amp.GradScaler("cpu")

    def closure() -> Any:
        lbfgs.zero_grad()
        loss = other(torch.ones(4, 2)).square().mean()
        loss.backward()
        return loss

    callbacks = [ReduceLROnPlateau("loss", patience=5)]
    optimizers = {"a": sgd, "b": lbfgs}
    with Training(
        {"a": model, "b": other}, optimizers, 1, scaler=scaler, callbacks=callbacks
    ) as training:
        for _ in training.epochs():
            scaler.scale(model(torch.ones(4, 2)).mean()).backward()
            scaler.step(sgd)
            scaler.update()
            lbfgs.step(closure)
            for optimizer in optimizers.values():
                optimizer.param_groups[0]["lr"] = 9.0
            training.log_epoch(loss=1.0)
    history = training.history.history
    assert history["learning_rate_a"] == [0.1] and history["learning_rate_b"] == [0.25]


def test_an_epoch_without_a_step_has_the_rate_it_began_with() -> None:
    model, optimizer = made()
    with Training(model, optimizer, 2) as training:
        for epoch in training.epochs():
            if epoch == 0:
                train_on_a_batch(model, optimizer)
            optimizer.param_groups[0]["lr"] /= 2
            training.log_epoch()
    assert recorded() == [0.1, 0.05]


@pytest.mark.parametrize(
    ("steps_per_batch", "steps_per_epoch", "when", "expected"),
    [
        (0, 1, "before", [(1.0, 1.0), (0.5, 0.5)]),
        (0, 1, "after", [(1.0, 1.0), (0.5, 0.5)]),
        (0, 2, "after", [(1.0, 1.0), (0.25, 0.25)]),
        (1, 0, "before", [(1.0, 0.25), (0.125, 0.03125)]),
        (2, 0, "before", [(1.0, 0.0625), (0.015625, 0.0009765625)]),
        (1, 1, "before", [(1.0, 0.25), (0.0625, 0.015625)]),
        (1, 1, "after", [(1.0, 0.25), (0.0625, 0.015625)]),
    ],
)
def test_every_group_has_its_first_and_last_rate_wherever_its_scheduler_is_stepped(
    steps_per_batch: int, steps_per_epoch: int, when: str, expected: list[tuple[float, float]]
) -> None:
    """The schedule halves both rates with each of its steps; there are three batches in an epoch."""
    body, head = nn.Linear(2, 2), nn.Linear(2, 1)
    groups = [
        {"params": body.parameters(), "lr": 0.5},
        {"params": head.parameters(), "lr": 2.0, "name": "head"},
    ]
    model, optimizer = nn.Sequential(body, head), torch.optim.SGD(groups)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)

    def step(times: int) -> None:
        for _ in range(times):
            scheduler.step()

    with Training(model, optimizer, 2, scheduler=scheduler) as training:
        for _ in training.epochs():
            for _ in training.batches(range(3)):
                train_on_a_batch(model, optimizer)
                step(steps_per_batch)
            if when == "before":
                step(steps_per_epoch)
            training.log_epoch()
            if when == "after":
                step(steps_per_epoch)
    found = [json.loads(text) for (text,) in ask("SELECT learning_rates FROM epoch ORDER BY epoch")]
    assert found == [
        {"0": [first / 2, last / 2], "head": [2 * first, 2 * last]} for first, last in expected
    ]


@pytest.mark.parametrize("handed_over", [True, False])
def test_an_optimizer_that_takes_the_place_of_the_first(handed_over: bool, recwarn: Any) -> None:
    """People make a new one to unfreeze layers, or to change from Adam to SGD."""
    model, optimizer = made()
    stranger = made(7.0)
    with Training(
        model, optimizer, 4, callbacks=[ReduceLROnPlateau("loss", patience=9)]
    ) as training:
        for epoch in training.epochs():
            if epoch == 2:
                optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
                if handed_over:
                    training.callbacks.optimizer = optimizer
            train_on_a_batch(*stranger)
            train_on_a_batch(model, optimizer)
            training.log_epoch(loss=1.0)
    assert recorded() == [0.1, 0.1, 0.003, 0.003]
    told = [str(one.message) for one in recwarn]
    assert len(told) == (0 if handed_over else 1)
    assert (
        handed_over or "another optimizer than the one that was passed trains the model" in told[0]
    )


def test_nothing_watches_a_training_that_was_dropped() -> None:
    gc.collect()  # those of earlier tests
    before = dict(_global_optimizer_pre_hooks)
    model, optimizer = made()
    loop = CallbackList([], model, optimizer)
    loop.on_train_begin()
    assert len(_global_optimizer_pre_hooks) == len(before) + 1
    del loop, model, optimizer  # which has a hook as well
    gc.collect()
    assert _global_optimizer_pre_hooks == before


def test_the_optimizer_is_no_longer_watched_after_training_and_can_be_copied_during_it() -> None:
    model, optimizer = made()
    with Training(model, optimizer, 1) as training:
        for _ in training.epochs():
            copy.deepcopy(optimizer)
            train_on_a_batch(model, optimizer)
    assert not optimizer._optimizer_step_pre_hooks
