"""A script that is run ten times leaves the best of the ten, and takes the room of two files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tests.helpers.ten_runs import LOSSES, check_ten_runs
from tracker_torch import ModelCheckpoint, Training


@pytest.mark.parametrize("name", ["best.pt", "best.safetensors"])
def test_of_ten_runs_of_a_script_the_best_can_be_restored(name: str, cli: Any) -> None:
    weights = {}

    def run(loss: float) -> None:
        model = nn.Linear(4, 2)
        keeper = ModelCheckpoint(name, save_best_only=True, save_weights_only=True)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        with Training(model, optimizer, 3, experiment="ten", callbacks=[keeper]) as training:
            for epoch in training.epochs():
                with torch.no_grad():
                    model.weight.fill_(loss + epoch)
                # The second epoch is the best.
                training.log_epoch(val_loss=loss + abs(epoch - 1))
        weights[loss] = loss + 1

    check_ten_runs(run, Path(name), cli)
    model = nn.Linear(4, 2)
    loaded = tracker.load_checkpoint(tracker.best("ten"), "best", model)
    assert loaded.epoch == 1
    assert torch.equal(model.weight, torch.full((2, 4), weights[min(LOSSES)]))
