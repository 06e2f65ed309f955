"""The first rows of a sorted listing are those of the whole listing, however they are found."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import tracker
from benchmarks.many_runs import build
from tests.helpers.plans import plans
from tracker.queries import api as queries
from tracker.queries.result import Listing
from tracker.storage.database import Reader, locate, reading

Ask = Callable[..., Listing]

KEYS: dict[Ask, list[str]] = {
    queries.epochs: [
        "val_loss", "-val_loss", "m3:desc", "epoch", "-epoch", "seconds", "-started", "learning_rate", "attempt",
        "run", "run.started", "-run.experiment", "run.val_loss", "run.params.lr", "rare", "-rare", "epoch,-val_loss",
        "-seconds,run", "val_loss,epoch",
    ],
    queries.decisions: [
        "epoch", "-epoch", "wait", "-wait", "decided", "-decided", "value", "verdict", "policy", "reason", "run",
        "best,epoch", "lr_before",
    ],
    queries.checkpoints: ["bytes", "-bytes", "epoch", "-created", "path", "state", "pinned", "value", "run", "id"],
}  # fmt: skip


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Open a database in which more rows than are read at once have the same value, and some have none, or NaN."""
    path = tmp_path_factory.mktemp("first") / "tracker.db"
    location = locate(path)
    build(location, 600)
    for number in range(12):
        with tracker.start_run("odd", database=path, system_metrics=False) as run:
            stopping = run.add_policy("EarlyStopping", monitor="rare", config={"mode": "min"})
            for epoch in (0, 1, 2, 1):
                value = math.nan if number == 3 else number % 4 - epoch / 2
                run.log_epoch(
                    epoch,
                    {"rare": value, "val_loss": 0.0 if number else math.inf},
                    learning_rate=0.1 * number if number < 5 else None,
                )
                stopping.decide("waited", epoch=epoch, reason="r", value=value, wait=number)
    with reading(location) as opened:
        yield opened


@pytest.mark.parametrize(("ask", "key"), [(ask, key) for ask, keys in KEYS.items() for key in keys])
def test_the_first_rows_are_those_of_the_whole_listing(reader: Reader, ask: Ask, key: str) -> None:
    whole = [*_rows(ask(reader, order_by=key))]
    for limit in (1, 20, 499, 500, 501):
        assert _rows(ask(reader, order_by=key, limit=limit)) == whole[:limit], limit


@pytest.mark.parametrize("ask", [queries.epochs, queries.decisions])
def test_superseded_rows_may_come_first(reader: Reader, ask: Ask) -> None:
    ask = partial(ask, superseded=True)
    for key in ("-epoch", "val_loss" if ask.func is queries.epochs else "value"):
        assert _rows(ask(reader, order_by=key, limit=9)) == _rows(ask(reader, order_by=key))[:9]


def test_epochs_sorted_by_a_metric_are_those_of_the_best_runs(reader: Reader) -> None:
    planned = plans(reader, lambda reader: queries.epochs(reader, order_by="m3", limit=20))
    lines = [line for one in planned for line in one.plan]
    assert any("ix_summary_name_min" in line for line in lines)
    assert not any(re.match(r"SCAN (epoch|metric|run)\b", line) for line in lines)


def _rows(listing: Listing) -> list[list[Any]]:
    """Return the rows as they are shown by name: which metrics have a column depends on the rows."""
    return [
        sorted((name, repr(cell)) for name, cell in row.items() if cell is not None)
        for row in listing.dicts()
    ]


def test_a_metric_that_other_runs_log_by_steps_has_no_part_in_the_order(folder: Path) -> None:
    with tracker.start_run("odd", "steps") as run:
        run.log({"loss": 0.01}, step=0)
        run.log_epoch(0, {"accuracy": 1.0})
    with tracker.start_run("odd", "epochs") as run:
        for epoch, loss in enumerate((0.5, 0.4)):
            run.log_epoch(epoch, {"loss": loss})
    with reading() as reader:
        (row,) = queries.epochs(reader, order_by="loss", limit=1).dicts()
    assert (row["run"], row["epoch"], row["loss"]) == ("epochs", 1, 0.4)
