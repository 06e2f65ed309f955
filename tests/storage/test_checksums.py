"""A bit that flips on a disk is found and named, and never shown as true."""

from __future__ import annotations

import math
from typing import Any

import pytest

import tracker
from tracker.maintenance.doctor import Subject, examine
from tracker.queries.damage import damaged_epochs
from tracker.storage.database import reading
from tracker.storage.location import locate
from tracker.storage.prepare import writing

VALUES = [0.1, -0.0, 0.0, math.nan, math.inf, -math.inf, 5e-324, 1e308, 3, True]


def record_awkward_values() -> None:
    """Epochs that are added to, repeated by a resume, or have no metrics; every kind of value."""
    with tracker.start_run(name="r") as run:
        run.log_epoch(0, {f"m{number}": value for number, value in enumerate(VALUES)})
        run.log_epoch(0, {"m1": 7.0, "late": 1.0})
        run.log_epoch(0, {"later": 1.0})
        run.log_epoch(1, {"loss": 1.0}, learning_rate=-0.0)
        run.log_epoch(2, {"loss": 2.0}, seconds=0, learning_rate=math.nan)
    with tracker.start_run(resume="r") as run:
        run.log_epoch(1, {"loss": 1.5, "naïve 🙂": 1.0})


def damaged() -> list[tuple[str, int]]:
    with reading() as reader:
        return damaged_epochs(reader.connection)


def test_nothing_that_was_recorded_counts_as_damaged(sql: Any) -> None:
    record_awkward_values()
    assert sql("SELECT count(*) FROM epoch WHERE checksum IS NULL") == [(0,)]
    assert damaged() == []


CHANGES = [
    "UPDATE metric SET value = 0.25 WHERE name = 'loss'",
    "UPDATE metric SET value = 'text' WHERE name = 'loss'",
    "UPDATE metric SET value = x'ff' WHERE name = 'loss'",
    "UPDATE metric SET value = NULL WHERE name = 'loss'",
    "UPDATE metric SET value_kind = 'nan' WHERE name = 'loss'",
    "UPDATE metric SET name = 'lose' WHERE name = 'loss'",
    "DELETE FROM metric WHERE name = 'loss'",
    "DELETE FROM metric",
    "UPDATE epoch SET epoch = 1 << 40",
    "UPDATE epoch SET attempt = 3",
    "UPDATE epoch SET seconds = 'much'",
    "UPDATE epoch SET learning_rate = 0.5",
    "UPDATE epoch SET step = 7",
    "UPDATE epoch SET checksum = checksum + 1",
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_is_named_and_left_out(
    change: str, cli: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with tracker.start_run(name="r") as run:
        run.log({"step": 1.0})
        run.log_epoch(0, {"loss": 0.5, "acc": 0.5}, learning_rate=0.1)
    with writing() as connection:
        connection.exec_driver_sql(change)
    [finding] = [one for one in examine(locate()) if one.subject is Subject.EPOCHS]
    assert finding.problem is not None
    assert finding.affected[0].endswith(f"of {run.id}")
    for words in (["export", "--json"], ["export", "r", "--csv"], ["epochs", "list", "r"]):
        caplog.clear()
        said = cli(*words).stdout
        assert "0.5" not in said
        assert "0.25" not in said
        assert "of r is not as it was recorded" in caplog.text


def test_an_epoch_that_is_damaged_stays_so_when_it_is_added_to(sql: Any) -> None:
    with tracker.start_run() as run:
        run.log_epoch(0, {"loss": 0.5})
        with writing() as connection:
            connection.exec_driver_sql("UPDATE metric SET value = 0.25")
        run.log_epoch(0, {"late": 1.0})
    assert damaged() == [(run.id, 0)]


def test_an_epoch_of_an_earlier_release_is_not_judged(sql: Any) -> None:
    with tracker.start_run() as run:
        run.log_epoch(0, {"loss": 0.5})
        with writing() as connection:
            connection.exec_driver_sql("UPDATE epoch SET checksum = NULL")
        run.log_epoch(0, {"late": 1.0})
    assert damaged() == []
    assert sql("SELECT checksum FROM epoch") == [(None,)]
