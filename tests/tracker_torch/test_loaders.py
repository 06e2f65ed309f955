"""A training that was killed sees the same batches, whatever its loaders keep between epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from tracker_torch import BackupAndRestore, Training


class Killed(Exception):
    """Stands for a kill: nothing of the loop runs afterwards."""


def loader(batch_size: int = 4, **options: Any) -> DataLoader[Any]:
    return DataLoader(range(12), batch_size, shuffle=True, **options)  # type: ignore[arg-type]


def own(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def seen(
    name: str, make: Callable[[], list[DataLoader[Any]]], *dies: int
) -> dict[tuple[int, ...], list[int]]:
    """Train for three epochs, killed before these steps; the last loader is for validation.

    Returns:
        The batches by step, those of validation by epoch and number; of what is repeated after a kill the last.
    """
    batches: dict[tuple[int, ...], list[int]] = {}
    for die in (*dies, None):
        torch.manual_seed(0)
        *trained, validated = make()
        callbacks = [BackupAndRestore(f"{name}-backup", save_freq=1)]
        options: dict[str, Any] = {"experiment": name, "resume": "auto", "callbacks": callbacks}
        try:
            with Training(nn.Linear(1, 1), None, 3, **options) as training:
                for epoch in training.epochs():
                    for one in trained:
                        for batch in training.batches(one):
                            if training.step == die:
                                raise Killed
                            batches[(training.step,)] = batch.tolist()
                    for number, batch in enumerate(training.batches(validated, train=False)):
                        batches[epoch, number] = batch.tolist()
        except Killed:
            pass
    return batches


PERSISTENT = {"num_workers": 1, "persistent_workers": True}


@pytest.mark.parametrize("die", [2, 3, 4, 7])
@pytest.mark.parametrize("generator", [None, 5])
def test_persistent_workers_are_started_as_if_nothing_had_happened(
    folder: Any, die: int, generator: int | None
) -> None:
    """They draw a seed where they are started: the order of all epochs after it depends on that."""

    def make() -> list[DataLoader[Any]]:
        options = {} if generator is None else {"generator": own(generator)}
        return [loader(**PERSISTENT, **options), loader(6, **PERSISTENT)]

    assert seen("killed", make, die) == seen("whole", make)


def test_a_second_kill_leaves_the_generator_of_a_loader_that_was_not_reached(folder: Any) -> None:
    def make() -> list[DataLoader[Any]]:
        return [loader(generator=own(1)), loader(generator=own(2)), loader(generator=own(3))]

    # In the first loader of the second epoch, and once more there.
    assert seen("killed", make, 7, 8) == seen("whole", make)


def test_a_loader_for_validation_continues_with_its_own_generator(folder: Any) -> None:
    def make() -> list[DataLoader[Any]]:
        return [loader(), loader(generator=own(3))]

    assert seen("killed", make, 4) == seen("whole", make)
