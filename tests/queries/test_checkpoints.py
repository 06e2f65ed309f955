"""Which checkpoint is meant: by its id, as the best or the last of a run, or by its epoch."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import tracker
from tracker.errors import CheckpointError
from tracker.queries import api as queries
from tracker.queries.checkpoints import find_checkpoint
from tracker.storage.database import reading


def test_best_and_last_are_names_for_checkpoints_that_are_available(folder: Path) -> None:
    with tracker.start_run(name="a") as run:
        for epoch, value in enumerate([0.3, 0.1, math.nan, 0.2]):
            (folder / f"{epoch}.pt").write_bytes(bytes([epoch]))
            run.log_checkpoint(folder / f"{epoch}.pt", epoch=epoch, monitor="val_loss", value=value)
    with reading() as reader:
        rows = list(queries.checkpoints(reader).dicts())
        assert [row["alias"] for row in rows] == [None, "best", None, "last"]
        assert [row["path"] for row in rows][:1] == ["0.pt"]
        assert rows[0]["file"] == str(folder / "0.pt")
        assert find_checkpoint(reader, "a")["epoch"] == 1
        assert find_checkpoint(reader, "a", alias="last")["epoch"] == 3
        assert find_checkpoint(reader, "a", epoch=2)["epoch"] == 2
        assert find_checkpoint(reader, rows[0]["id"][:10])["epoch"] == 0
        with pytest.raises(CheckpointError, match="no checkpoint of epoch 9"):
            find_checkpoint(reader, "a", epoch=9)


def test_where_nothing_is_best_only_the_default_is_the_last(folder: Path) -> None:
    with tracker.start_run(name="a") as run:
        for epoch in range(2):
            (folder / f"{epoch}.pt").write_bytes(bytes([epoch]))
            run.log_checkpoint(folder / f"{epoch}.pt", epoch=epoch)
    with reading() as reader:
        assert find_checkpoint(reader, "a")["epoch"] == 1
        assert find_checkpoint(reader, "a", alias="last")["epoch"] == 1
        with pytest.raises(CheckpointError, match=r"none was saved with the value.*--alias last"):
            find_checkpoint(reader, "a", alias="best")
