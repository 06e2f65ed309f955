"""Columns of many runs: what is joined on its way out of the database comes out as it went in."""

from __future__ import annotations

import math
import sqlite3

import pytest
from sqlalchemy import func, literal, select, union_all
from sqlalchemy.exc import DBAPIError

import tracker
from tests.helpers import odd_labels
from tracker.queries import wide
from tracker.storage.chunks import plain_rows
from tracker.storage.database import reading


@pytest.fixture(autouse=True, params=["few runs", "many runs"])
def in_both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few runs are put in order by Python alone, many by NumPy."""
    if request.param == "many runs":
        monkeypatch.setattr(wide, "_MANY", 1)


def test_what_looks_like_a_separator_is_a_value() -> None:
    odd_labels.record()
    odd_labels.check()


def test_more_metrics_than_are_looked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    odd_labels.record()
    at_once = tracker.runs()
    monkeypatch.setattr(wide, "_MOST_METRICS", 1)
    assert tracker.runs().equals(at_once)
    odd_labels.check()


def test_rows_of_a_run_that_is_none_are_left_out() -> None:
    """A damaged database may have some."""
    odd_labels.record()
    with sqlite3.connect(".tracker/tracker.db") as database:
        database.execute("INSERT INTO param VALUES ('nobody', 'lr', 'float', '1.0', 1.0)")
        database.execute("INSERT INTO param VALUES ('none', 'a\x1fb', 'float', '1.0', 1.0)")
        database.execute(
            "INSERT INTO summary (run_id, name, last, last_kind, min, max) "
            "VALUES ('nobody', 'loss', 0, 'finite', 0, 0), ('nobody', 'epoch_time', 0, 'finite', 0, 0)"
        )
    database.close()
    odd_labels.check()


def test_a_column_of_floats_is_the_same_with_and_without_gaps() -> None:
    """Where all runs have a float, columns are made from an array of them."""
    for number in range(3):
        with tracker.start_run("sweep", name=f"run-{number}", params={"lr": number / 7}) as run:
            run.log_epoch(0, {"loss": 0.1 * number})
    full = tracker.runs(order_by="started")
    tracker.start_run("sweep", name="other").finish()
    gaps = tracker.runs(order_by="started")
    assert full["params.lr"].tolist() == [0.0, 1 / 7, 2 / 7]
    assert full["loss"].tolist() == [0.0, 0.1, 0.2]
    for name in ("params.lr", "loss"):
        assert (full[name].dtype, gaps[name].dtype) == ("float64", "float64")
        assert gaps[name][:3].tolist() == full[name].tolist()
        assert math.isnan(gaps[name][3])


def test_an_error_of_the_driver_is_sqlalchemys_also_where_rows_are_read_past_it() -> None:
    with tracker.start_run("sweep"):
        pass
    numbers = union_all(*(select(literal(number).label("n")) for number in (1, -(2**63))))
    statement = select(func.abs(numbers.subquery().c.n))
    with reading() as reader:
        rows = plain_rows(reader.connection, statement, None, None)
        with pytest.raises(DBAPIError, match="integer overflow") as caught:
            list(rows)
    assert isinstance(caught.value.__cause__, sqlite3.Error)
