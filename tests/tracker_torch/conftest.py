"""What the tests of the torch adapter share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import ROOT
from tests.helpers.torch_problems import Problem, problem


@pytest.fixture(params=["digits", "breast_cancer", "wine"])
def each(request: pytest.FixtureRequest) -> Problem:
    return problem(request.param)


@pytest.fixture
def wine() -> Problem:
    return problem("wine")


@pytest.fixture
def started_processes_find_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process that others are forked from import what they need."""
    paths = (ROOT, ROOT / "adapters")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))


@pytest.fixture
def feed() -> Callable[..., Any]:
    """Feed one metric's series to callbacks through their hooks, with nothing but hooks."""
    from tracker_torch import CallbackList

    def feeding(
        series: list[Any], *callbacks: Any, monitor: str = "val_loss", **options: Any
    ) -> Any:
        model = options.pop("model", None) or nn.Linear(2, 1)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        loop = CallbackList(callbacks, model, optimizer, **options)
        loop.on_train_begin()
        for epoch in range(loop.first_epoch, len(series)):
            if loop.stop_training:
                break
            loop.on_epoch_begin(epoch)
            value = series[epoch]
            loop.on_epoch_end(epoch, value if isinstance(value, dict) else {monitor: value})
        loop.on_train_end()
        return loop

    return feeding
