"""``tracker.arrow``: what was recorded as an Arrow table."""

from __future__ import annotations

import math
import sys

import pytest

import tracker
from tracker.exports import CONTENTS

pa = pytest.importorskip("pyarrow")


@pytest.fixture(autouse=True)
def runs() -> None:
    """Record a and b, with epochs, steps, params of mixed kinds, and a NaN."""
    for name, lr in (("a", 0.1), ("b", "auto")):
        with tracker.start_run("digits", name, {"lr": lr}) as run:
            for step in range(3):
                run.log({"batch_loss": step / 2}, step=step)
            run.log_epoch(0, {"loss": math.nan if name == "b" else 0.5})


def test_epochs_have_types_and_exact_values() -> None:
    table = tracker.arrow()
    assert table.column("run").to_pylist() == ["a", "b"]
    assert table.schema.field("epoch").type == pa.int64()
    assert table.column("params.lr").to_pylist() == ["0.1", "auto"]
    first, second = table.column("loss").to_pylist()
    assert (first, math.isnan(second)) == (0.5, True)


def test_step_metrics_are_those_of_the_frame() -> None:
    table = tracker.arrow("b", what="metrics")
    frame = tracker.metrics("b")
    assert pa.types.is_dictionary(table.schema.field("name").type)
    assert table.column("value").to_pylist() == frame["value"].tolist()
    assert table.column("time").to_pylist() == [time.to_pydatetime() for time in frame["time"]]
    assert set(table.column("run").to_pylist()) == {"b"}


@pytest.mark.parametrize("what", CONTENTS)
def test_without_a_database_there_are_columns_and_no_rows(what: str) -> None:
    table = tracker.arrow(what=what, database="other.db")
    assert table.num_rows == 0
    assert "run" in table.column_names or what == "runs"


def test_a_filter_chooses_runs() -> None:
    assert tracker.arrow(what="runs", where="lr = 'auto'").column("name").to_pylist() == ["b"]


def test_a_misspelt_what_is_answered_with_the_nearest() -> None:
    with pytest.raises(tracker.BadValue, match="did you mean metrics"):
        tracker.arrow(what="metric")


def test_without_pyarrow_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(tracker.UsageError, match=r"local-tracker\[parquet\]"):
        tracker.arrow()
