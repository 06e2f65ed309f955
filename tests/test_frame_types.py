"""The types and the names of a frame's columns: the same whatever rows there are."""

from __future__ import annotations

import pandas as pd
import pytest

import tracker
from tests.helpers import frame_types
from tests.helpers.frame_types import DTYPES, check_types, found, record
from tracker.exports import CONTENTS


@pytest.mark.parametrize("runs", [0, 1, 3])
def test_a_columns_type_does_not_depend_on_the_rows(runs: int) -> None:
    check_types(runs)


def test_a_filter_that_no_run_passes_leaves_the_types() -> None:
    record(1)
    types = {name: str(dtype) for name, dtype in tracker.runs("status = 'failed'").dtypes.items()}
    assert types == DTYPES["runs"]


def test_whole_numbers_of_some_runs_and_fractions_of_others_are_numbers() -> None:
    for value in (1, 0.5):
        with tracker.start_run(params={"lr": value, "mixed": str(value) if value == 1 else value}):
            pass
    types = found("runs")
    assert (types["params.lr"], types["params.mixed"]) == ("float64", "object")


def test_categories_are_the_words_that_there_are() -> None:
    record(2)
    runs = tracker.runs()
    assert runs["status"].cat.categories.tolist() == ["finished"]
    assert runs.groupby("experiment", observed=False).size().to_dict() == {"kinds": 2}
    # Those of runs are in the order of the rows, as in a legend.
    assert tracker.epochs()["run"].cat.categories.tolist() == ["kind-0", "kind-1"]


ODD = [
    "id",
    "metrics.id",
    "metrics.metrics.id",
    "metrics.other",
    "status",
    "params.rate",
    "run",
    "tags.team",
]


def test_no_two_columns_have_one_name() -> None:
    """A metric may be called like a column, like a param, and like the title that such a one gets."""
    params = {"rate": 1, "id": 2, "a": {"b": 3}, "tags.team": 4, "params.rate": 5, "loss": 6}
    with tracker.start_run("odd", "a", params, {"team": "x", "id": "y"}) as run:
        run.log_epoch(0, {name: float(place) for place, name in enumerate(ODD)})
    with tracker.start_run("odd", "b") as run:
        run.log_epoch(0, {"id": 9.0, "metrics.metrics.id": 8.0})
    for what in CONTENTS:
        assert getattr(tracker, what)().columns.is_unique, what
        assert tracker.frame_of(what=what).columns.is_unique, what
    runs = tracker.runs().set_index("name")
    assert runs.loc["a", "metrics.id"] == 0.0
    assert runs.loc["b", "metrics.id"] == 9.0
    assert runs.loc["a", "metrics.metrics.id"] == 1.0
    assert runs.loc["b", "metrics.metrics.metrics.id"] == 8.0
    assert (runs.loc["a", "metrics.params.rate"], runs.loc["a", "params.rate"]) == (5.0, 1)
    assert runs.loc["a", "params.params.rate"] == 5
    epochs = tracker.epochs()
    assert epochs["metrics.run"].dropna().tolist() == [6.0]
    assert epochs["id"].tolist() == [0.0, 9.0]


def test_runs_that_are_named_as_others_are_labelled_keep_columns_of_their_own() -> None:
    ids = []
    for name in ("a", "a"):
        with tracker.start_run("digits", name) as run:
            run.log_epoch(0, {"val_loss": 1.0})
        ids.append(run.id)
    with tracker.start_run("digits", f"a@{ids[0][:8]}") as run:
        run.log_epoch(0, {"val_loss": 3.0})
    assert tracker.compare().loc[0].tolist() == [1.0, 1.0, 3.0]
    assert len(tracker.epochs()["run"].cat.categories) == 3


def test_one_frame_has_epochs_with_the_params_and_tags_of_their_runs() -> None:
    record(2)
    frame = tracker.frame_of()
    assert frame["run"].tolist() == ["kind-0", "kind-1"]
    assert frame["params.count"].tolist() == [3, pd.NA]
    assert frame["loss"].tolist() == [0.5, 0.5]
    assert str(frame["params.flag"].dtype) == "boolean"
    assert tracker.frame_of("kind-1", where="count = 3").empty


@pytest.mark.parametrize("what", CONTENTS)
@pytest.mark.parametrize("runs", [0, 1])
def test_one_frame_and_an_arrow_table_have_the_same_columns(what: str, runs: int) -> None:
    pytest.importorskip("pyarrow")
    record(runs)
    frame, table = tracker.frame_of(what=what), tracker.arrow(what=what)
    assert table.column_names == frame.columns.tolist()
    assert table.num_rows == len(frame)


def test_a_flag_is_a_flag_in_arrow_whether_or_not_all_runs_have_it() -> None:
    pa = pytest.importorskip("pyarrow")
    for runs in (1, 2):
        frame_types.record(runs)
        flags = tracker.arrow(what="runs").column("params.flag")
        assert flags.type == pa.bool_()
    assert flags.to_pylist() == [True, True, None]


def test_a_misspelt_content_is_answered_with_the_nearest() -> None:
    with pytest.raises(tracker.BadValue, match="did you mean epochs"):
        tracker.frame_of(what="epoch")
