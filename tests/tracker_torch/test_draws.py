"""What the body of an epoch draws before its batches is drawn again after a resume in the middle."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from torch import nn

from tests.helpers.torch_problems import step
from tracker_torch import BackupAndRestore, Training


class Killed(Exception):
    """Stands for a kill."""


DATA = torch.arange(24)


def permuted(training: Training) -> Any:
    yield from training.batches(torch.randperm(24).split(4))


def permuted_by_numpy(training: Training) -> Any:
    order = numpy.random.permutation(24)
    yield from training.batches([torch.tensor(order[i : i + 4]) for i in range(0, 24, 4)])


def sampled_and_augmented(training: Training) -> Any:
    shift = random.randrange(24)
    for batch in training.batches(torch.randperm(24).split(4)):
        yield (batch + shift) % 24


def two_walks(training: Training) -> Any:
    yield from training.batches(torch.randperm(12).split(4))
    yield from training.batches((torch.randperm(12) + 12).split(4))


def loader_in_the_epoch(training: Training) -> Any:
    noise = int(torch.randint(0, 24, ()))
    for batch in training.batches(torch.utils.data.DataLoader(DATA, 4, shuffle=True)):
        yield (batch + noise) % 24


def train(
    batches: Callable[[Training], Any], save_freq: int, crash: int | None, folder: str, fresh: bool
) -> tuple[list[list[int]], Any]:
    for seed in (torch.manual_seed, random.seed, numpy.random.seed):
        seed(5 if fresh else 6)
    model = nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen: list[list[int]] = []
    with Training(
        model, optimizer, 3, name=folder, resume="auto",
        callbacks=[BackupAndRestore(folder, save_freq=save_freq)],
    ) as training:  # fmt: skip
        for _ in training.epochs():
            for batch in batches(training):
                if training.step == crash:
                    raise Killed
                seen.append(batch.tolist())
                step(model, optimizer, batch[:, None] / 24.0, batch % 2)
    return seen, [p.tolist() for p in model.parameters()]


@pytest.mark.parametrize("crash", [7, 9, 11])
@pytest.mark.parametrize("save_freq", [1, 2])
@pytest.mark.parametrize(
    "batches",
    [permuted, permuted_by_numpy, sampled_and_augmented, two_walks, loader_in_the_epoch],
)
def test_a_resume_in_the_middle_sees_the_rest_of_the_epoch(
    batches: Any, save_freq: int, crash: int
) -> None:
    whole, weights = train(batches, save_freq, None, "whole", fresh=True)
    with pytest.raises(Killed):
        train(batches, save_freq, crash, "cut", fresh=True)
    rest, resumed = train(batches, save_freq, None, "cut", fresh=False)
    assert rest == whole[crash - crash % save_freq :]
    assert resumed == weights
