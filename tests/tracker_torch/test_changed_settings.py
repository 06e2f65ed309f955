"""A training that comes back says where the script's settings are not those it is trained with."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from tests.helpers.torch_problems import ask
from tracker_torch import (
    BackupAndRestore,
    LRSchedulerCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
    Training,
)


class Killed(Exception):
    """Stands for a crash."""


def job(
    crash: int | None = None,
    *,
    epochs: int = 3,
    scheduler: Callable[[Any], Any] | None = None,
    callbacks: Callable[[Any], list[Any]] = lambda optimizer: [],
    scaler: Any = None,
    load: str | None = None,
    **options: Any,
) -> tuple[Any, list[str]]:
    """Train, and return the optimizer and what was warned of."""
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), **{"lr": 0.1, **options})
    backup = [] if load or crash == -1 else [BackupAndRestore("b", delete_checkpoint=False)]
    made = scheduler(optimizer) if scheduler else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with Training(
                model, optimizer, epochs, experiment="j", resume=None if load else "auto",
                scheduler=made, scaler=scaler, callbacks=[*callbacks(optimizer), *backup],
            ) as training:  # fmt: skip
                if load:
                    training.load(load)
                for epoch in training.epochs():
                    if epoch == crash:
                        raise Killed
                    model(torch.ones(1, 2)).sum().backward()
                    optimizer.step()
                    if made is not None:
                        made.step()
                    training.log_epoch(val_loss=1.0)
        except Killed:
            pass
    return optimizer, [str(w.message) for w in caught if "came back" in str(w.message)]


def groups() -> list[dict[str, Any]]:
    captured = json.loads(ask("SELECT captured FROM attempt ORDER BY id DESC LIMIT 1")[0][0])
    found: list[dict[str, Any]] = captured["optimizer"]["groups"]
    return found


def test_another_learning_rate() -> None:
    job(2)
    optimizer, told = job(lr=0.001)
    assert optimizer.param_groups[0]["lr"] == 0.1
    (warning,) = told
    assert "optimizer's lr 0.1 (the script says 0.001)" in warning
    assert groups()[0]["lr"] == 0.1


@pytest.mark.parametrize("kind", ["StepLR", "ExponentialLR", "LinearLR", "OneCycleLR"])
def test_what_did_not_change_is_not_told_also_where_schedules_moved_it(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = {"StepLR": (1,), "ExponentialLR": (0.9,), "LinearLR": (), "OneCycleLR": (1.0, 9)}

    def train(crash: int | None) -> list[str]:
        return job(
            crash,
            scheduler=lambda o: getattr(lr_scheduler, kind)(o, *arguments[kind]),
            callbacks=lambda o: [ReduceLROnPlateau(patience=0, factor=0.5)],
            momentum=0.5,
        )[1]

    train(2)
    first = groups()
    assert train(None) == [] and groups() == first
    assert "resumes with" not in caplog.text


@pytest.mark.parametrize("changed", [{"momentum": 0.9}, {"weight_decay": 0.5}, {"nesterov": True}])
def test_another_setting_of_the_optimizer(changed: dict[str, Any]) -> None:
    before = {"momentum": 0.5} if "nesterov" in changed else {}
    job(2, **before)
    _, told = job(**{**before, **changed})
    (warning,) = told
    (name,) = changed
    assert f"optimizer's {name} " in warning and f"says {changed[name]!r}" in warning
    assert groups()[0][name] != changed[name]


def test_a_third_attempt_is_told_again_and_a_return_to_the_first_setting_is_not() -> None:
    job(1)
    assert len(job(2, lr=0.01)[1]) == 1
    assert len(job(3, epochs=4, lr=0.01)[1]) == 1
    assert job(epochs=5, lr=0.1)[1] == []


def test_a_scheduler_that_the_loop_steps() -> None:
    job(2, scheduler=lambda o: lr_scheduler.StepLR(o, 5, 0.5))
    _, told = job(scheduler=lambda o: lr_scheduler.StepLR(o, 1, 0.5))
    (warning,) = told
    assert "scheduler's step_size 5 (the script says 1)" in warning


def test_a_scheduler_within_another() -> None:
    def made(gamma: float) -> Callable[[Any], Any]:
        return lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, gamma)], [1]
        )

    job(2, scheduler=made(0.5))
    assert "1.gamma 0.5 (the script says 0.9)" in job(scheduler=made(0.9))[1][0]


def test_the_changed_setting_of_a_callbacks_scheduler_wins_and_is_not_told() -> None:
    job(2, callbacks=lambda o: [LRSchedulerCallback(lr_scheduler.StepLR(o, 5, 0.5))])
    made: list[Any] = []

    def callbacks(optimizer: Any) -> list[Any]:
        made.append(lr_scheduler.StepLR(optimizer, 1, 0.5))
        return [LRSchedulerCallback(made[-1])]

    assert job(callbacks=callbacks)[1] == []
    assert made[0].step_size == 1


def test_a_scaler() -> None:
    job(2, scaler=torch.amp.GradScaler("cpu", growth_interval=10))
    _, told = job(scaler=torch.amp.GradScaler("cpu", growth_interval=99))
    assert "scaler's growth_interval 10 (the script says 99)" in told[0]


def test_a_checkpoint_that_is_loaded() -> None:
    job(-1, epochs=1, callbacks=lambda o: [ModelCheckpoint("{epoch}.pt", monitor=None)])
    optimizer, told = job(load="1.pt", lr=0.5)
    assert "optimizer's lr 0.1 (the script says 0.5)" in told[0]
    assert optimizer.param_groups[0]["lr"] == 0.1 and groups()[0]["lr"] == 0.1
    assert job(load="1.pt")[1] == []


def test_one_group_of_several() -> None:
    def train(rate: float, crash: int | None) -> list[str]:
        a, b = nn.Linear(1, 1), nn.Linear(1, 1)
        optimizer = torch.optim.Adam(
            [{"params": a.parameters()}, {"params": b.parameters(), "lr": rate}], betas=(0.5, 0.9)
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                with Training(
                    [a, b], optimizer, 2, resume="auto", callbacks=BackupAndRestore("b")
                ) as training:
                    for epoch in training.epochs():
                        if epoch == crash:
                            raise Killed
                        training.log_epoch(loss=1.0)
            except Killed:
                pass
        return [str(w.message) for w in caught if "came back" in str(w.message)]

    train(0.2, 1)
    (warning,) = train(0.3, None)
    assert "lr 0.2 (the script says 0.3)" in warning and "betas" not in warning


def test_params_of_an_unfinished_run_that_is_resumed_without_a_name_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A sweep with resume="auto" and no name continues the run of the configuration before."""
    for lr, fails in ((10.0, True), (0.1, False), (0.01, False)):
        model = nn.Linear(2, 1)
        with suppress(Killed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Training(
                model,
                None,
                2,
                experiment="sweep",
                resume="auto",
                params={"opt": {"lr": lr}, "n": 3},
            ) as training:
                for epoch in training.epochs():
                    if fails and epoch == 1:
                        raise Killed
                    training.log_epoch(loss=1.0)
    told = [one.getMessage() for one in caplog.records if "resumes with" in one.getMessage()]
    assert len(told) == 1
    assert "run sweep-1 resumes with params.opt.lr=0.1 (it had 10.0)." in told[0]
    assert ask("SELECT attempt, name, text FROM former_param") == [(1, "opt.lr", "10.0")]
