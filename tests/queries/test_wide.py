"""Columns of many runs: what is joined on its way out of the database comes out as it went in."""

from __future__ import annotations

import sqlite3

import pytest

import tracker
from tests.helpers import odd_labels
from tracker.queries import wide


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
