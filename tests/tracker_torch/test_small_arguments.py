"""Home folders are expanded, and a scheduler among the callbacks is told what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tracker
from tracker_torch import BackupAndRestore, CallbackList, CSVLogger, ModelCheckpoint, TensorBoard


def test_a_home_folder_is_expanded(
    feed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    feed(
        [1.0],
        ModelCheckpoint("~/x.pt", save_last=True),
        BackupAndRestore("~/b", delete_checkpoint=False),
        CSVLogger("~/log.csv"),
        TensorBoard("~/tb"),
    )
    found = {path.name for path in (tmp_path / "home").iterdir()}
    assert found >= {"x.pt", "last.pt", "b", "log.csv", "tb"} and not Path("~").exists()


@pytest.mark.parametrize("name", ["StepLR", "ReduceLROnPlateau", "ConstantLR"])
def test_a_scheduler_among_the_callbacks_is_told_what_it_takes(name: str) -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1)
    options = {"step_size": 1} if name == "StepLR" else {}
    scheduler: Any = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
    with pytest.raises(tracker.UsageError, match=rf"LRSchedulerCallback\({name}"):
        CallbackList([scheduler])
