"""Groups of parameters that a later epoch adds, and parameters that it unfreezes, come back with a resume."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.torch_problems import step
from tracker_torch import BackupAndRestore, ModelCheckpoint, Training


class Killed(Exception):
    """Stands for a kill."""


def unfreeze(
    crash: int | None = None,
    *,
    load: bool = False,
    early: bool = False,
    extra: Any = None,
    name: str = "r",
    **options: Any,
) -> Any:
    """Train the head for two epochs, then everything; killed after epoch ``crash``."""
    torch.manual_seed(4)
    body, head = nn.Linear(2, 3), nn.Linear(3, 2)
    model = nn.Sequential(body, head)
    body.requires_grad_(options.pop("body", False))
    optimizer = torch.optim.SGD(head.parameters(), 0.1, momentum=0.9)
    x, y = torch.randn(8, 2), torch.arange(8) % 2
    if early:
        optimizer.add_param_group({"params": body.parameters(), "lr": 0.01})
    callbacks = [BackupAndRestore(name)] if not load else [ModelCheckpoint("last.pt", monitor=None)]
    with Training(
        model, optimizer, 4, name=name, resume="auto", callbacks=callbacks, **options
    ) as training:
        if load and training.run.first_epoch:
            training.load("last.pt")
        for epoch in training.epochs():
            if epoch == 2 and not early:
                body.requires_grad_(True)
                more = body.parameters() if extra is None else [nn.Parameter(torch.ones(2))]
                optimizer.add_param_group({"params": more, "lr": 0.01})
            if epoch - 1 == crash:
                raise Killed
            training.log(loss=step(model, optimizer, x, y))
    return [p.tolist() for p in model.parameters()], optimizer.param_groups[-1]["lr"]


@pytest.mark.parametrize("crash", [0, 1, 2])
def test_a_resume_before_or_after_the_epoch_that_adds_a_group(crash: int) -> None:
    whole = unfreeze(name="whole")
    with pytest.raises(Killed):
        unfreeze(crash)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert unfreeze() == whole


def test_a_checkpoint_brings_its_groups_too() -> None:
    with pytest.raises(Killed):
        unfreeze(2, load=True)
    assert unfreeze(load=True, body=True)[1] == 0.01


def test_a_group_of_parameters_that_the_model_does_not_have_is_refused_with_a_way_out() -> None:
    with pytest.raises(Killed):
        unfreeze(2, extra=True)
    with pytest.raises(
        tracker.CheckpointError, match=r"has 2 groups .* add_param_group\(\) before"
    ):
        unfreeze()


def test_a_group_that_is_added_too_early_is_refused_with_a_way_out() -> None:
    with pytest.raises(Killed):
        unfreeze(0)
    with pytest.raises(tracker.CheckpointError, match=r"has 1 groups .* Add them in the epoch"):
        unfreeze(early=True)


def test_a_script_that_freezes_otherwise_than_before_wins_with_a_warning() -> None:
    with pytest.raises(Killed):
        unfreeze(0)
    with pytest.warns(UserWarning, match="with other parameters frozen .* none"):
        unfreeze(body=True)
