"""Curves of a dozen letters: in the listing of a terminal that has the letters, and nowhere else."""

from __future__ import annotations

import math

import pytest

import tracker
from tests.cli.golden.screen import show
from tracker.cli.sparkline import WIDTH, drawn
from tracker.queries.curves import monitored_curves
from tracker.queries.runs import overview
from tracker.storage.database import reading


@pytest.mark.parametrize(
    ("values", "letters"),
    [
        ([3.0, 2.0, 1.0], "█▅▁"),
        ([0.0, 7.0], "▁█"),
        ([1.0, 1.0], "▄▄"),
        ([5.0], "▄"),
        ([1.0, math.nan, 2.0, math.inf], "▁×█×"),
        ([math.nan, -math.inf], "××"),
        ([-1e308, 1e308], "▁█"),
        ([0.0, 5e-324], "▄▄"),
        ([1.0] * WIDTH + [2.0] * WIDTH, "▁▁▁▁▁▁██████"),
        ([1.0, math.nan] * WIDTH, "▄" * WIDTH),
        ([float(number) for number in range(1000)], "▁▂▂▃▄▄▅▅▆▇▇█"),
    ],
)
def test_a_letter_stands_for_a_value_or_the_mean_of_some(values: list[float], letters: str) -> None:
    assert drawn(values) == letters


def record() -> None:
    with tracker.start_run(name="falls") as run:
        for epoch in range(4):
            run.log_epoch(epoch, {"val_loss": 3.0 - epoch})
    with tracker.start_run(name="one") as run:
        run.log_epoch(0, {"val_loss": 3.0})
    with tracker.start_run(name="steps") as run:
        run.log({"val_loss": 3.0})


def test_a_terminal_shows_the_curve_of_runs_with_epochs() -> None:
    record()
    shown = show(["runs", "list"], width=200, NO_COLOR="1").out
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert " curve " in lines["name"]
    assert " █▆▃▁ " in lines["falls"]
    assert not any(letter in lines["one"] + lines["steps"] for letter in "▁▄█")


def test_a_long_curve_is_read_in_part_from_end_to_end() -> None:
    with tracker.start_run() as run:
        for epoch in range(150):
            run.log_epoch(epoch, {"val_loss": float(epoch)})
    with reading() as reader:
        (curve,) = monitored_curves(reader, overview(reader), most=40).values()
        (whole,) = monitored_curves(reader, overview(reader), most=150).values()
    assert list(whole.values) == list(range(150))
    assert list(curve.values) == list(range(0, 150, 4))
    assert all(value == epoch for epoch, value in curve.values.items())
    assert curve.metric == "val_loss"
