"""Groups of runs that are judged by one metric come straight from the database, and are what they are otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import tracker
from tracker.queries.groups import groups
from tracker.queries.monitored import shared_monitor
from tracker.storage.database import reading


def record(team: str, metrics: dict[str, float] | None = None, **more: Any) -> None:
    policies = more.pop("policies", ())
    with tracker.start_run(
        "digits", params={"lr": more.pop("lr", 0.1)}, tags={"team": team}, **more
    ) as run:
        for monitor, config in policies:
            run.add_policy("EarlyStopping", monitor=monitor, config=config)
        for epoch in range(2 if metrics is not None else 0):
            run.log_epoch(epoch, {name: value - epoch for name, value in (metrics or {}).items()})


def rounded(row: Iterable[Any]) -> str:
    """Return a row as text, in which a NaN equals another, without the last of the sixteen digits of its sums."""
    return repr([float(f"{cell:.13g}") if isinstance(cell, float) else cell for cell in row])


def usual() -> None:
    record("a", {"val_loss": 2.0, "loss": 9.0})
    record("b", {"val_loss": 3.0}, lr=1)
    record("a", {"loss": 1.0})
    record("a", {"val_loss": math.nan})
    record("b")
    record("c", {"accuracy": 0.5}, lr="auto")


def highest() -> None:
    for team, value in (("a", 5.0), ("b", 7.0), ("a", 6.0)):
        record(team, {"score": value, "val_loss": 1.0}, monitor="score", mode="max")


def by_callbacks() -> None:
    for team, value in (("a", 5.0), ("b", 7.0), ("a", 6.0)):
        record(team, {"acc": value}, policies=[("acc", {"mode": "auto"}), ("acc", {"mode": "max"})])


def by_steps() -> None:
    record("a", {"val_loss": 2.0})
    with tracker.start_run("digits", tags={"team": "a"}) as run:
        run.log({"val_loss": 0.5})


def far_from_each_other() -> None:
    """A group whose spread is lost beside the distance from another one's values."""
    for place in range(5):
        record("a", {"val_loss": float(place + 1)})
        record("b", {"val_loss": 1e9 + place / 7})
        record("c", {"val_loss": 1e9})
    record("c", {"loss": 1.0})


def with_infinities() -> None:
    for place, value in enumerate([1.0, math.inf, 2.0, 3.0, math.inf, -math.inf, 1e308, 1e200]):
        record("ab"[place % 2], {"val_loss": value}, lr=place)
        record("c", {"val_loss": 1e308 - place})
    for value in (math.inf, math.inf):
        record("d", {"val_loss": value})


def with_equals() -> None:
    """Equal values, whose mean must be theirs, and a param that is both a whole number and none."""
    for place in range(6):
        record("ab"[place % 2], {"val_loss": 0.1, "loss": 0.5}, lr=1 if place < 2 else 1.0)
    record("a", {"accuracy": 0.5})
    record("b", {"accuracy": 0.5})
    record("c", {"accuracy": 0.5})
    record("c", {"val_loss": 0.5})


ALIKE: dict[str, tuple[Callable[[], None], tuple[str, str]]] = {
    "usual": (usual, ("val_loss", "min")),
    "highest": (highest, ("score", "max")),
    "by callbacks": (by_callbacks, ("acc", "max")),
    "by steps": (by_steps, ("val_loss", "min")),
    "far from each other": (far_from_each_other, ("val_loss", "min")),
    "with infinities": (with_infinities, ("val_loss", "min")),
    "with equals": (with_equals, ("val_loss", "min")),
}


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("by", ["experiment", "tags.team", "params.lr", "params.lr,team"])
@pytest.mark.parametrize("where", [None, "val_loss < 3", "status = 'finished' and team != 'b'"])
def test_they_are_what_the_listing_of_runs_comes_to(name: str, by: str, where: str | None) -> None:
    fill, shared = ALIKE[name]
    fill()
    if name == "by callbacks" and where == "val_loss < 3":
        where = "acc < 6"
    with reading() as reader:
        assert shared_monitor(reader.connection) == shared
        quick = groups(reader, by, where)
        # An order is what only the listing knows.
        listed = groups(reader, by, where, order_by="-started")
    assert quick.columns == listed.columns
    assert [rounded(row) for row in quick.rows] == [rounded(row) for row in listed.rows]


def test_runs_that_are_judged_by_different_metrics_or_modes_share_none() -> None:
    record("a", {"val_loss": 1.0}, policies=[("val_loss", {"mode": "min"})])
    with reading() as reader:
        assert shared_monitor(reader.connection) == ("val_loss", "min")
    record("b", {"acc": 1.0}, policies=[("acc", {"mode": "max"})])
    with reading() as reader:
        assert shared_monitor(reader.connection) is None


def test_one_metric_that_is_better_low_here_and_high_there_is_not_shared() -> None:
    for mode in ("min", "max"):
        record("a", {"score": 1.0}, policies=[("score", {"mode": mode})])
    with reading() as reader:
        assert shared_monitor(reader.connection) is None


def test_a_metric_that_only_some_runs_monitor_is_not_shared() -> None:
    record("a", {"acc": 1.0, "val_loss": 1.0}, policies=[("acc", {"mode": "max"})])
    record("a", {"acc": 1.0, "val_loss": 1.0})
    with reading() as reader:
        assert shared_monitor(reader.connection) is None
