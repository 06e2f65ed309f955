"""Step metrics of runs that went back: nothing is doubled, nothing is lost."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import numpy as np
import pytest

import tracker
from tests.helpers.cli import runner
from tracker.cli import program


def resumed(*attempts: Any) -> None:
    """Record a run with these steps, an attempt each; values are the number of the attempt."""
    for number, steps in enumerate(attempts, 1):
        with tracker.start_run("steps", name="run", resume="run" if number > 1 else None) as run:
            for step in steps:
                run.log({"loss": float(number)}, step=step)


def points(**asked: Any) -> list[tuple[int, float]]:
    """Return step and value of each point."""
    found = tracker.metrics("run", **asked)
    return list(zip(found["step"].tolist(), found["value"].tolist(), strict=True))


def test_steps_that_a_later_attempt_repeats_are_there_once() -> None:
    resumed(range(19, 23), range(21, 24))
    assert points() == [(19, 1), (20, 1), (21, 2), (22, 2), (23, 2)]
    assert points(start=21, stop=23) == [(21, 2), (22, 2)]
    assert points(start=20, stop=21) == [(20, 1)]


def test_all_are_there_when_asked_for_and_told_apart() -> None:
    resumed([1, 2, 3], [2], [3, 4])
    frame = tracker.metrics("run", superseded=True)
    assert frame["step"].tolist() == [1, 2, 3, 2, 3, 4]
    assert frame["attempt"].tolist() == [1, 1, 1, 2, 3, 3]
    assert frame["superseded"].tolist() == [False, True, True, False, False, False]


def test_an_attempt_that_goes_on_supersedes_nothing() -> None:
    resumed([1, 2], [3, 4], [5])
    assert [step for step, _ in points()] == [1, 2, 3, 4, 5]


def test_an_attempt_that_begins_again_supersedes_everything() -> None:
    resumed([5, 6], [0, 1], [1, 2])
    assert points() == [(0, 2), (1, 3), (2, 3)]


def test_each_metric_is_cut_where_it_goes_on_itself() -> None:
    """One that counts epochs as its steps does not cut one that counts batches."""
    for number, (epochs, batches) in enumerate([((0, 1), (10, 20)), ((1, 2), (20, 30))], 1):
        with tracker.start_run("steps", name="run", resume="run" if number > 1 else None) as run:
            for epoch, batch in zip(epochs, batches, strict=True):
                run.log({"lr": 0.1}, step=epoch)
                run.log({"loss": float(number)}, step=batch)
    assert points(names="loss") == [(10, 1), (20, 2), (30, 2)]
    assert [step for step, _ in points(names="lr")] == [0, 1, 2]


def test_counts_and_exports_hold_what_is_effective() -> None:
    resumed(range(5), range(3, 6))
    shown = runner().invoke(program, ["runs", "show", "run", "--format", "json"])
    assert json.loads(shown.stdout)["points"] == {"loss": 6}
    made = runner().invoke(program, ["export", "run", "--what", "metrics", "--csv"])
    assert len(made.stdout.splitlines()) == 1 + 6


def test_blocks_that_are_superseded_are_not_read() -> None:
    resumed([5, 6], [0, 1])
    with closing(sqlite3.connect(".tracker/tracker.db")) as database, database:
        database.execute("UPDATE block SET payload = x'00' WHERE attempt = 1")
    assert len(points()) == 2
    with pytest.raises(tracker.StoreError):
        points(superseded=True)


def test_numbers_that_are_no_whole_ones_are_refused() -> None:
    resumed([1, 2])
    for wrong in ({"every": 1.5}, {"points": "a"}, {"start": 0.5}, {"stop": True}):
        with pytest.raises(tracker.BadValue, match=f"{next(iter(wrong))} is"):
            tracker.metrics("run", **wrong)  # type: ignore[arg-type]
    assert points(start=np.int64(2)) == [(2, 1)]
    assert len(points(names=("loss", "loss"))) == 2
