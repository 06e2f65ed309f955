"""What came after the best epoch is added up by the database where one metric judges all runs: the same, and sooner."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.queries.runs import run_ids
from tracker.queries.waste import by_experiment, waste
from tracker.storage.database import reading


def record(name: str, losses: list[float], metric: str = "val_loss", **more: Any) -> None:
    with tracker.start_run("x" if len(name) > 1 else "y", name, **more) as run:
        for epoch, loss in enumerate(losses):
            run.log_epoch(epoch, {metric: loss}, seconds=epoch + 0.5)


def usual() -> None:
    record("a", [3.0, 1.0, 2.0, 2.0])
    record("a", [1.0, 3.0], price_per_hour=3600.0)
    record("nan", [math.nan, math.nan])
    record("none", [])
    record("best", [3.0, 2.0, 1.0])
    with tracker.start_run("x", "again") as run:
        for epoch in (0, 1, 2, 1, 2):
            run.log_epoch(epoch, {"val_loss": 1.0 + epoch}, seconds=1.0)


def highest() -> None:
    for losses in ([1.0, 3.0, 2.0], [4.0, 3.0, 2.0]):
        record("high", losses, "score", monitor="score", mode="max", price_per_hour=1.0)


def several() -> None:
    usual()
    record("other", [1.0, 3.0], "loss")


@pytest.mark.parametrize("story", [usual, highest, several])
@pytest.mark.parametrize(
    "order", [None, "best", "-run", "share,-epochs", "cost_after", "experiment"]
)
def test_waste_of_all_runs_is_that_of_the_same_runs_named(
    folder: Path, story: Any, order: str | None
) -> None:
    story()
    with reading(None) as reader:
        named = waste(reader, order_by=order, ids=run_ids(reader))
        found = waste(reader, order_by=order)
        assert found == named
        assert found.rows
        assert by_experiment(found) == by_experiment(named)
