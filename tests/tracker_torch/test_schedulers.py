"""A scheduler of torch's goes on where it was, with a backup, a checkpoint, or nothing but the run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as rates

import tracker
from tests.helpers.torch_problems import ask
from tracker_torch import (
    BackupAndRestore,
    LearningRateScheduler,
    LRSchedulerCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
    Training,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:Detected call of `lr_scheduler.step",
    "ignore:.*nothing brought its weights back",
    "ignore:The epoch parameter",
    "ignore:.*holds no optimizer",
)


class Killed(Exception):
    """Stands for a kill: nothing of the loop runs afterwards."""


def train(
    make: Callable[[Any], Any], *callbacks: Any, end: int | None = None, load: str | None = None
) -> tuple[list[float], Any]:
    """Return the rates that the epochs were trained with, and the scheduler."""
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    scheduler, used = make(optimizer), []
    every = [LRSchedulerCallback(scheduler), *callbacks]
    try:
        with Training(
            model, optimizer, 8, callbacks=every, experiment="k", resume="auto"
        ) as training:
            if load:
                training.load(load)
            for epoch in training.epochs():
                if epoch == end:
                    raise Killed
                used.append(optimizer.param_groups[0]["lr"])
                training.log_epoch(val_loss=1.0)
    except Killed:
        pass
    return used, scheduler


KINDS: dict[str, Callable[[Any], Any]] = {
    "step": lambda o: rates.StepLR(o, 2, 0.5),
    "milestones": lambda o: rates.MultiStepLR(o, [2, 2, 6], 0.5),
    "lambda": lambda o: rates.LambdaLR(o, lambda epoch: 1 / (epoch + 1)),
    "cycle": lambda o: rates.OneCycleLR(o, 1.0, total_steps=9),
    "restarts": lambda o: rates.CosineAnnealingWarmRestarts(o, 2, 2),
    "plateau": lambda o: rates.ReduceLROnPlateau(o, patience=1),
    "sequential": lambda o: rates.SequentialLR(
        o, [rates.ConstantLR(o, 0.1, 3), rates.CosineAnnealingLR(o, 6)], [3]
    ),
    "chained": lambda o: rates.ChainedScheduler(
        [rates.ConstantLR(o, 0.1, 3), rates.ExponentialLR(o, 0.9)]
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["nothing", "backup", "weights"])
def test_a_killed_training_goes_on_with_the_rates_of_one_that_was_not(
    folder: Path, kind: str, how: str
) -> None:
    """Also where a file of weights alone is loaded: the run knows the rest of the schedule."""

    def others() -> list[Any]:
        weights = ModelCheckpoint("w.pt", monitor=None, save_weights_only=True)
        return {"nothing": [], "backup": [BackupAndRestore("bk")], "weights": [weights]}[how]

    whole, _ = train(KINDS[kind])
    before, _ = train(KINDS[kind], *others(), end=4)
    after, _ = train(KINDS[kind], *others(), load="w.pt" if how == "weights" else None)
    assert before + after == pytest.approx(whole)


@pytest.mark.parametrize("own", [ReduceLROnPlateau, LearningRateScheduler])
def test_reduced_rates_come_back_where_the_loaded_file_has_no_optimizer(
    folder: Path, own: Any
) -> None:
    def part(load: bool) -> float:
        rule = own(patience=1) if own is ReduceLROnPlateau else own(lambda epoch, rate: rate / 10)
        weights = ModelCheckpoint("w.pt", monitor=None, save_weights_only=True)
        model = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), 1.0)
        with (
            contextlib.suppress(Killed),
            Training(
                model, optimizer, 3, callbacks=[rule, weights], experiment="k", resume="auto"
            ) as training,
        ):
            if load:
                training.load("w.pt")
            for epoch in training.epochs():
                training.log_epoch(val_loss=1.0)
                if epoch == 1:
                    raise Killed
        return float(optimizer.param_groups[0]["lr"])

    before = part(load=False)
    assert before < 1.0
    assert part(load=True) == pytest.approx(before / 10)


@pytest.mark.parametrize("how", ["nothing", "backup", "checkpoint"])
def test_a_changed_patience_wins_over_the_saved_one(folder: Path, how: str, caplog: Any) -> None:
    def others() -> list[Any]:
        return [BackupAndRestore("bk")] if how == "backup" else [ModelCheckpoint("a.pt")]

    train(lambda o: rates.ReduceLROnPlateau(o, patience=3), *others(), end=2)
    load = "a.pt" if how == "checkpoint" else None
    used, scheduler = train(lambda o: rates.ReduceLROnPlateau(o, patience=6), *others(), load=load)
    assert scheduler.patience == 6 and scheduler.best == 1.0
    assert used == [1.0] * 6 and "patience=6; the attempt before had 3" in caplog.text


def test_a_scheduler_that_a_run_cannot_hold_says_so(folder: Path) -> None:
    class Odd(rates.StepLR):
        def step(self, *args: Any) -> None:
            super().step(*args)
            self.odd = object()

    train(lambda o: Odd(o, 2), end=3)
    with pytest.warns(
        UserWarning, match="Odd begins anew: its state is more than numbers and text"
    ):
        train(lambda o: Odd(o, 2))


def test_the_schedulers_of_two_optimizers_are_in_one_checkpoint_and_come_back(folder: Path) -> None:
    def gan(load: bool = False) -> list[float]:
        nets = {name: nn.Linear(1, 1) for name in "gd"}
        sgds = {name: torch.optim.SGD(net.parameters(), 1.0) for name, net in nets.items()}
        both = [rates.ExponentialLR(sgds["g"], 0.5), rates.ExponentialLR(sgds["d"], 0.25)]
        callbacks = [*map(LRSchedulerCallback, both), ModelCheckpoint("gan.pt", monitor=None)]
        with Training(nets, sgds, 4 if load else 2, callbacks=callbacks, resume="auto") as training:
            if load:
                training.run.rewind(2)
                training.load("gan.pt")
            for _ in training.epochs():
                training.log_epoch(loss=1.0)
        return [
            *(one.last_epoch for one in both),
            *(one.param_groups[0]["lr"] for one in sgds.values()),
        ]

    gan()
    assert gan(load=True) == [4, 4, 0.5**4, 0.25**4]
    assert set(torch.load("gan.pt", weights_only=True)["scheduler"]) == {"0", "1"}


@pytest.mark.parametrize("wrong", ["cosine", None, rates.StepLR])
def test_what_is_no_scheduler_is_refused_when_the_callback_is_made(wrong: Any) -> None:
    with pytest.raises(tracker.BadValue, match=r"scheduler is .* made for the optimizer"):
        LRSchedulerCallback(wrong)


def test_its_settings_are_recorded(folder: Path) -> None:
    train(lambda o: rates.ReduceLROnPlateau(o, patience=3), end=1)
    ((config,),) = ask("SELECT config FROM policy WHERE kind = 'LRSchedulerCallback'")
    assert '"patience":3' in config and "last_epoch" not in config and "mode_worse" not in config


@pytest.mark.parametrize("backup", [False, True])
def test_schedulers_may_be_added_and_changed_between_attempts(folder: Path, backup: bool) -> None:
    """What went on goes on; what is new begins anew, and that is said."""
    others = [BackupAndRestore("bk")] if backup else []
    train(KINDS["sequential"], *others, end=4)
    more = torch.optim.lr_scheduler.StepLR(torch.optim.SGD(nn.Linear(1, 1).parameters(), 1.0), 1)

    def three(optimizer: Any) -> Any:
        parts = [rates.ConstantLR(optimizer, 0.1, 3) for _ in range(3)]
        return rates.SequentialLR(optimizer, parts, [3, 6])

    if backup:
        with pytest.warns(UserWarning, match="An LRSchedulerCallback continues by itself"):
            _, scheduler = train(three, LRSchedulerCallback(more), BackupAndRestore("bk"))
    else:
        _, scheduler = train(three, LRSchedulerCallback(more))
    assert scheduler.last_epoch == 8 and more.last_epoch == 4
