"""A loop that reports no batches: what is new is saved all the same, and what waits for batches says so."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import ask
from tracker_torch import (
    BackupAndRestore,
    Callback,
    CallbackList,
    LambdaCallback,
    LRSchedulerCallback,
    ModelCheckpoint,
    TensorBoard,
    TerminateOnNaN,
    Training,
)


def made() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(2, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def train_on_a_batch(model: nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    loss = model(torch.ones(4, 2)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def fail_in(epoch: int, *callbacks: Callback, batches: bool = False, begin: bool = False) -> None:
    model, optimizer = made()
    with (
        pytest.raises(RuntimeError, match="oops"),
        Training(model, optimizer, 9, callbacks=callbacks) as training,
    ):
        for number in training.epochs():
            if begin and number == epoch:
                raise RuntimeError("oops")
            for _ in training.batches(range(2)) if batches else range(2):
                train_on_a_batch(model, optimizer)
            if number == epoch:
                raise RuntimeError("oops")
            training.log_epoch(val_loss=1.0)


@pytest.mark.parametrize("batches", [True, False])
def test_an_exception_leaves_what_was_trained_since_the_last_save(batches: bool) -> None:
    fail_in(
        5, ModelCheckpoint("{epoch}.pt", every_n_epochs=2, save_on_exception=True), batches=batches
    )
    assert sorted(p.name for p in Path().glob("*.pt")) == ["2.pt", "4.pt", "exception.pt"]


@pytest.mark.parametrize("batches", [True, False])
def test_an_exception_before_anything_new_was_trained_leaves_nothing(batches: bool) -> None:
    fail_in(2, ModelCheckpoint("{epoch}.pt", save_on_exception=True), batches=batches, begin=True)
    assert sorted(p.name for p in Path().glob("*.pt")) == ["1.pt", "2.pt"]


@pytest.mark.parametrize("watched", [True, False])
def test_hooks_by_hand_without_batches_leave_it_too(watched: bool) -> None:
    model, optimizer = made()
    callback = ModelCheckpoint("{epoch}.pt", monitor=None, save_on_exception=True)
    loop = CallbackList(callback, model, optimizer if watched else None)
    loop.on_train_begin()
    train_on_a_batch(model, optimizer)
    loop.on_epoch_end(0, {"loss": 1.0})
    train_on_a_batch(model, optimizer)
    error = RuntimeError("oops")
    loop.on_exception(error)
    loop.close(error)
    assert Path("exception.pt").is_file()


class _Begins(Callback):
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Look."""


def waiting(optimizer: Any) -> dict[str, Callback]:
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    return {
        "ModelCheckpoint": ModelCheckpoint("{step}.pt", monitor=None, save_freq=2),
        "BackupAndRestore": BackupAndRestore("b", save_freq=2),
        "LRSchedulerCallback": LRSchedulerCallback(scheduler, per="batch"),
        "TerminateOnNaN": TerminateOnNaN(),
        "LambdaCallback": LambdaCallback(on_batch_end=lambda batch, logs: None),
        "TensorBoard": TensorBoard("tb", update_freq=1),
        "_Begins": _Begins(),
    }


def told(caught: list[warnings.WarningMessage], what: str) -> list[str]:
    return [str(w.message).split()[0] for w in caught if what in str(w.message)]


@pytest.mark.parametrize("by_hand", [True, False])
def test_each_that_waits_for_batches_says_so_once(by_hand: bool) -> None:
    model, optimizer = made()
    callbacks = waiting(optimizer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if by_hand:
            loop = CallbackList(callbacks.values(), model, optimizer)
            loop.on_train_begin()
            for epoch in range(2):
                train_on_a_batch(model, optimizer)
                loop.on_epoch_end(epoch, {"val_loss": 1.0})
            loop.on_train_end()
        else:
            with Training(
                model, optimizer, 2, callbacks=callbacks.values(), log_every=1
            ) as training:
                for _ in training.epochs():
                    training.log(loss=train_on_a_batch(model, optimizer))
                    training.log_epoch(val_loss=1.0)
    extra = [] if by_hand else ["log_every"]
    assert told(caught, "in every batch") == [*callbacks, *extra]


def test_with_batches_nobody_complains_nor_where_nobody_waits() -> None:
    model, optimizer = made()
    quiet = [ModelCheckpoint("{epoch}.pt", monitor=None), ModelCheckpoint("n.pt", save_freq=0)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for callbacks in (list(waiting(optimizer).values()), quiet):
            with Training(model, optimizer, 2, callbacks=callbacks, name=None) as training:
                for _ in training.epochs():
                    walk: Any = training.batches(range(2)) if callbacks is not quiet else range(2)
                    for _ in walk:
                        train_on_a_batch(model, optimizer)
                    training.log_epoch(val_loss=1.0)
    assert told(caught, "in every batch") == told(caught, "without training") == []


# Epochs without a batch


def gives(count: int) -> Iterator[int]:
    yield from range(count)


@pytest.mark.parametrize("through", ["batches", "plain"])
def test_a_generator_that_is_used_up(through: str) -> None:
    model, optimizer = made()
    loader = gives(3)
    with (
        pytest.warns(UserWarning, match="epoch 1 was recorded without training") as caught,
        Training(model, optimizer, 3) as training,
    ):
        for _ in training.epochs():
            for _ in training.batches(loader) if through == "batches" else loader:
                training.log(loss=train_on_a_batch(model, optimizer))
            training.log_epoch(val_loss=1.0)
    assert len(told(list(caught), "without training")) == 1


@pytest.mark.parametrize(
    "loader", [[], range(0), torch.utils.data.DataLoader([1], 2, drop_last=True)]
)
def test_a_loader_that_is_empty(loader: Any) -> None:
    model, optimizer = made()
    with (
        pytest.warns(UserWarning, match="epoch 0 was recorded without training"),
        Training(model, optimizer, 1) as training,
    ):
        for _ in training.epochs():
            for _ in training.batches(loader):
                raise AssertionError


def test_a_block_without_an_epoch_did_not_finish_its_training() -> None:
    with pytest.warns(UserWarning, match="ended without an epoch of its 50"), Training(*made(), 50):
        pass
    (row,) = ask("SELECT status, reason FROM run")
    assert row == ("stopped_early", "training ended before its first epoch (of 50)")


def test_nor_one_in_a_run_that_is_joined_which_goes_on_as_it_was() -> None:
    with (
        tracker.start_run("e"),
        pytest.warns(UserWarning, match="without an epoch"),
        Training(*made(), 5),
    ):
        pass
    assert ask("SELECT status FROM run") == [("finished",)]


def test_no_epochs_at_all_are_fine() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Training(*made(), 0):
            pass
