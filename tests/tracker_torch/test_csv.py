"""What CSVLogger does with files that are there, and with names that are taken."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tracker_torch import CSVLogger


def table(path: str) -> list[list[str]]:
    with Path(path).open(newline="") as file:
        return list(csv.reader(file))


def test_a_complete_last_line_without_its_end_is_kept(feed: Any) -> None:
    Path("log.csv").write_text("epoch,a\n0,1\n1,2")
    feed([{"a": 3.0}], CSVLogger("log.csv", append=True))
    assert table("log.csv") == [["epoch", "a"], ["0", "1"], ["1", "2"], ["0", "3.0"]]


def test_a_last_line_that_lacks_cells_goes(feed: Any) -> None:
    Path("log.csv").write_text("epoch,a,b\n0,1,2\n1,2")
    feed([{"a": 3.0, "b": 4.0}], CSVLogger("log.csv", append=True))
    assert table("log.csv") == [["epoch", "a", "b"], ["0", "1", "2"], ["0", "3.0", "4.0"]]


def test_a_table_without_epochs_gets_their_column(feed: Any) -> None:
    Path("log.csv").write_text("a\n1\n")
    feed([{"a": 2.0, "b": 3.0}, {"a": 4.0}], CSVLogger("log.csv", append=True))
    assert table("log.csv") == [
        ["a", "epoch", "b"],
        ["1", "NA", "NA"],
        ["2.0", "0", "3.0"],
        ["4.0", "1", "NA"],
    ]


def test_a_metric_named_epoch_does_not_replace_the_number(feed: Any) -> None:
    with pytest.warns(UserWarning, match="Log it under another name"):
        feed([{"epoch": 7.0, "a": 1.0}], CSVLogger("log.csv"))
    assert table("log.csv") == [["epoch", "a"], ["0", "1.0"]]
