"""Steps are training batches: also where two loaders are walked over at once, or the run logs by itself."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import ask
from tracker_torch import CallbackList, LRSchedulerCallback, Training


def made() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(2, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def steps(name: str) -> list[int]:
    frame = tracker.metrics(tracker.runs()["id"].iloc[0], names=name)
    return [int(step) for step in frame["step"]]


@pytest.mark.parametrize(("a", "b", "pairs"), [(4, 4, 4), (6, 4, 4), (4, 6, 4)])
def test_a_pair_of_two_loaders_is_one_step(a: int, b: int, pairs: int) -> None:
    model, optimizer = made()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    callback = LRSchedulerCallback(scheduler, per="batch")
    with (
        pytest.warns(UserWarning, match="two batches") as caught,
        Training(model, optimizer, 2, callbacks=callback, log_every=1) as training,
    ):
        for _ in training.epochs():
            for _ in zip(training.batches(range(a)), training.batches(range(b)), strict=False):
                optimizer.step()
                training.log(loss=1.0)
    assert training.step == scheduler.last_epoch == 2 * pairs
    assert len([w for w in caught if "two batches" in str(w.message)]) == 1
    assert steps("loss") == list(range(1, 2 * pairs + 1))


def test_a_walk_within_another_is_told_of() -> None:
    with pytest.warns(UserWarning, match="two batches"), Training(*made(), 1) as training:
        for _ in training.epochs():
            for _ in training.batches(range(3)):
                for _ in training.batches(range(2)):
                    pass
    assert training.step == 3


def test_walks_one_after_the_other_are_not_also_after_a_break_or_a_held_iterator() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Training(*made(), 2) as training:
            for _ in training.epochs():
                for _ in training.batches(range(3)):
                    break
                next(iter(training.batches(range(3))))
                for _ in training.batches(range(2)):
                    pass
                held = iter(training.batches(range(9)))
                next(held)
                for _ in training.batches([1], train=False):
                    pass
    assert training.step == 2 * 5


def test_what_the_run_logs_has_the_trainings_step() -> None:
    with Training(*made(), 2, log_every=1) as training:
        for _ in training.epochs():
            for _ in training.batches(range(2)):
                training.run.log({"grad": 1.0})
                training.log(loss=1.0)
            training.run.log({"seen": 1.0})
            training.run.log({"own": 1.0}, step=99)
    assert (steps("grad"), steps("loss"), steps("seen")) == ([0, 1, 2, 3], [1, 2, 3, 4], [2, 4])
    assert set(steps("own")) == {99}


def test_hooks_by_hand_count_likewise_and_without_batches_the_run_counts() -> None:
    with tracker.start_run() as run:
        run.log({"before": 1.0}, step=7)
        loop = CallbackList([], *made(), run=run)
        loop.on_train_begin()
        run.log({"x": 1.0})
        for batch in range(3):
            loop.on_train_batch_begin(batch)
            run.log({"y": 1.0})
            loop.on_train_batch_end(batch)
        loop.on_epoch_end(0, {"loss": 1.0})
        loop.on_train_end()
        run.log({"after": 1.0}, step=20)
        run.log({"after": 1.0})
    assert (steps("x"), steps("y"), steps("after")) == ([8], [0, 1, 2], [20, 21])


def test_an_epoch_keeps_its_steps_and_the_rates_of_every_group() -> None:
    a, b = nn.Linear(1, 1), nn.Linear(1, 1)
    optimizer = torch.optim.SGD(
        [{"params": a.parameters()}, {"params": b.parameters(), "lr": 0.5, "name": "head"}], lr=1.0
    )
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    with Training([a, b], optimizer, 2) as training:
        for _ in training.epochs():
            for _ in training.batches(range(2)):
                optimizer.step()
                scheduler.step()
    rows: list[Any] = ask("SELECT step, learning_rates FROM epoch ORDER BY epoch")
    assert [(step, json.loads(rates)) for step, rates in rows] == [
        (2, {"0": [1.0, 0.5], "head": [0.5, 0.25]}),
        (4, {"0": [0.25, 0.125], "head": [0.125, 0.0625]}),
    ]


def test_a_resumed_run_without_a_backup_counts_on() -> None:
    for epochs in (2, 3):
        with (
            warnings.catch_warnings(),
            tracker.start_run(name="r", resume=None if epochs == 2 else "r"),
        ):
            warnings.simplefilter("ignore")
            with Training(*made(), epochs) as training:
                for _ in training.epochs():
                    for _ in training.batches(range(4)):
                        pass
    assert training.step == 12
