"""Metrics and params of all runs are counted by indexes, and are what they are where the runs are named."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.errors import WhereError
from tracker.queries.names_in_use import metrics_in_use, params_in_use
from tracker.queries.runs import run_ids
from tracker.storage.database import reading

VALUES: list[Any] = [
    0.5, 0.5, 1, 1.0, True, False, 0, 0.0, -0.0, 2**53, 2**60, 2**60 + 1, 1e300, math.inf, -math.inf, math.nan,
    10**400, None, "0.5", "auto", [1, 2], -3, -3,
]  # fmt: skip


@pytest.fixture
def recorded(folder: Path) -> None:
    for number, value in enumerate(VALUES):
        with tracker.start_run("x", params={"v": value, "n": number % 3}) as run:
            for epoch in range(number % 3):
                loss = math.nan if number == 5 else number - epoch
                run.log_epoch(epoch, {"val_loss": loss, "accuracy": 1 / (number + 1)})
            run.log({"inner": float(number)}, step=0)


@pytest.mark.parametrize("ask", [metrics_in_use, params_in_use])
def test_all_runs_are_counted_as_named_ones_are(recorded: None, ask: Any) -> None:
    with reading(None) as reader:
        named = ask(reader, run_ids(reader))
        assert [repr(row) for row in ask(reader).rows] == [repr(row) for row in named.rows]


def test_a_param_has_as_many_values_as_were_given(recorded: None) -> None:
    with reading(None) as reader:
        rows = {row["param"]: row for row in params_in_use(reader).dicts()}
    assert rows["v"]["runs"] == len(VALUES)
    assert rows["v"]["different"] == len({(type(value), repr(value)) for value in VALUES})


def test_of_equally_frequent_values_nan_comes_after_the_numbers() -> None:
    for value in (math.nan, 3, "x", 1):
        tracker.start_run("e", params={"v": value}, system_metrics=False).finish()
    with reading() as reader:
        (row,) = params_in_use(reader).dicts()
    assert [str(value) for value in row["values"]] == ["1", "3", "nan", "x"]


@pytest.mark.parametrize("ask", [metrics_in_use, params_in_use])
def test_a_sort_key_that_is_not_a_column_is_shown_with_its_place(recorded: None, ask: Any) -> None:
    with reading(None) as reader, pytest.raises(WhereError) as refused:
        ask(reader, order_by="runs,-rums")
    message, *shown = str(refused.value).splitlines()
    assert message == "There is no column 'rums': did you mean runs?"
    assert [line.strip() for line in shown] == ["rums", "^"]
