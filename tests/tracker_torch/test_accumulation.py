"""Gradients that wait for a step of the optimizer are part of a backup."""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import torch_resume_loop
from tracker_torch import BackupAndRestore, Callback, Training


class Killed(Exception):
    """Stands for a kill."""


class DieAfter(Callback):
    order = 4

    def __init__(self, step: int) -> None:
        self.step = step

    def on_epoch_close(self, epoch: int) -> None:
        if self.loop.step == self.step:
            raise Killed


def parts() -> dict[str, nn.Module]:
    return {"first": nn.Linear(3, 4), "second": nn.Linear(4, 1)}


def accumulate(
    folder: str, save_freq: str | int, die: int | None, *, zero_at_epoch: bool = False
) -> list[Any]:
    """Train two models together, with a step of the optimizer in every fourth of 2 x 6 batches."""
    torch.manual_seed(5)
    models = parts()
    parameters = [p for model in models.values() for p in model.parameters()]
    optimizer = torch.optim.SGD(parameters, 0.1, momentum=0.9)
    x = torch.randn(24, 3)
    last = [DieAfter(die)] if die is not None else []
    with Training(
        models, optimizer, 2, name=folder, resume="auto",
        callbacks=[BackupAndRestore(folder, save_freq=save_freq), *last],
    ) as training:  # fmt: skip
        for _ in training.epochs():
            if zero_at_epoch:
                optimizer.zero_grad()
            for rows in training.batches(torch.arange(24).split(4)):
                if training.step == die:
                    raise Killed
                models["second"](models["first"](x[rows])).square().mean().backward()
                if (training.step + 1) % 4 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
    return [p.tolist() for p in parameters]


@pytest.mark.parametrize("zero_at_epoch", [False, True])
@pytest.mark.parametrize(
    ("save_freq", "die"), [(9, 9), (9, 11), (1, 3), (2, 3), (5, 10), ("epoch", 6), ("epoch", 9)]
)
def test_a_resume_between_two_steps_of_the_optimizer_keeps_what_was_accumulated(
    save_freq: str | int, die: int, zero_at_epoch: bool
) -> None:
    whole = accumulate("whole", save_freq, None, zero_at_epoch=zero_at_epoch)
    with pytest.raises(Killed):
        accumulate("cut", save_freq, die, zero_at_epoch=zero_at_epoch)
    assert accumulate("cut", save_freq, None, zero_at_epoch=zero_at_epoch) == whole


def test_gradients_that_were_set_to_none_take_no_place_in_a_backup() -> None:
    with pytest.raises(Killed):
        accumulate("four", 4, 5)
    with pytest.raises(Killed):
        accumulate("five", 5, 6)
    empty, kept = (
        torch.load(f"{name}/latest.pt", weights_only=True)["gradients"] for name in ("four", "five")
    )
    assert empty == [{"first": {}, "second": {}}]
    assert [sorted(gradients) for gradients in kept[0].values()] == [["bias", "weight"]] * 2


def enumerate_batches(
    every: int, save_freq: int, die: int | None, *, skip: bool = False
) -> list[str]:
    """Accumulate by a count of the loop's own, which begins at 0 with each walk; return what was warned of."""
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x = torch.randn(32, 3)
    with warnings.catch_warnings(record=True) as caught, suppress(Killed):
        warnings.simplefilter("always")
        with Training(
            model, optimizer, 2, name="e", resume="auto",
            callbacks=[BackupAndRestore("e", save_freq=save_freq)],
        ) as training:  # fmt: skip
            for _ in training.epochs():
                for number, rows in enumerate(training.batches(torch.arange(32).split(4))):
                    if training.step == die:
                        raise Killed
                    model(x[rows]).square().mean().backward()
                    if (number + 1) % every == 0 and not (skip and training.step == 10):
                        optimizer.step()
                        optimizer.zero_grad()
    return [str(one.message) for one in caught if "after the resume" in str(one.message)]


@pytest.mark.parametrize(
    ("every", "save_freq", "warned"),
    [(4, 9, True), (4, 10, True), (2, 9, True), (4, 4, False), (1, 9, False)],
)
def test_a_loop_that_counts_from_0_in_a_resumed_epoch_is_warned_once(
    every: int, save_freq: int, warned: bool
) -> None:
    assert enumerate_batches(every, save_freq, 11) == []
    told = enumerate_batches(every, save_freq, None)
    assert len(told) == warned
    assert not told or f"at most {every} apart" in told[0]


def test_a_step_that_was_left_out_without_accumulation_is_no_sign() -> None:
    enumerate_batches(1, 10, 10)
    assert enumerate_batches(1, 10, None, skip=True) == []


@pytest.mark.usefixtures("started_processes_find_us")
@pytest.mark.parametrize("seed", [3, 22])
def test_a_loop_that_draws_from_everything_ends_alike_however_often_it_is_killed(
    tmp_path: Path, seed: int
) -> None:
    """randperm, random.shuffle, NumPy, dropout, schedules and accumulation, bit for bit."""
    assert torch_resume_loop.check(tmp_path, seed)
