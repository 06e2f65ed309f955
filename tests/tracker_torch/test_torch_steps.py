"""Steps of an epoch that is trained again are counted from where it began."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch_problems import Problem, step

import tracker
from tracker_torch import BackupAndRestore, CallbackList, ModelCheckpoint, Training


class Killed(Exception):
    """Stands for a kill: nothing of the loop runs afterwards."""


def train(problem: Problem, *callbacks: Any, load: str | None = None) -> Training:
    """Train for two epochs of five batches."""
    model = problem.net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Training(model, optimizer, 2, callbacks=callbacks) as training:
        if load:
            training.load(load, rng=False)
        for _ in training.epochs():
            for x, y in training.batches(problem.loader()):
                step(model, optimizer, x, y)
    return training


@pytest.mark.filterwarnings("ignore:.* holds no optimizer")
@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_a_checkpoint_from_the_middle_of_an_epoch_begins_it_again(wine: Problem, kind: str) -> None:
    whole = train(wine, ModelCheckpoint("{step}." + kind, monitor=None, save_freq=1))
    assert whole.step == 10
    for done in (3, 8, 10):
        assert train(wine, load=f"{done}.{kind}").step == 10


def test_a_loop_of_ones_own_that_begins_an_epoch_again_counts_from_there(folder: Any) -> None:
    def part(end: int | None) -> int:
        model = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        loop = CallbackList([BackupAndRestore("bk", 2)], model, optimizer)
        try:
            with tracker.start_run("own", resume="auto"):
                loop.on_train_begin()
                for epoch in range(loop.first_epoch, 2):
                    loop.on_epoch_begin(epoch)
                    for batch in range(5):
                        if (epoch, batch) == (1, end):
                            raise Killed
                        loop.on_train_batch_end(batch)
                    loop.on_epoch_end(epoch, {"loss": 1.0})
                loop.on_train_end()
        except Killed:
            pass
        return loop.step

    part(3)
    assert part(None) == 10
