"""Runs by groups: counted in the database, or with what they came to, it is the same answer."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

import tracker
from tracker.errors import BadValue, WhereError
from tracker.queries.groups import groups
from tracker.queries.judged_groups import JUDGED
from tracker.queries.stored_groups import COUNTED
from tracker.storage.database import Reader, reading

VALUES = [1, 1.0, True, "1", None, math.nan, math.nan, [1, 2], [1, 2], 1e-05]


@pytest.fixture
def reader(folder: object) -> Iterator[Reader]:
    """Open a database of runs with params of each kind; one of them is being recorded."""
    for place, value in enumerate(VALUES):
        tags = {"half": str(place % 2)} if place else {}
        params = {"value": value, "even": place % 2 == 0}
        with tracker.start_run("digits" if place < 7 else "wine", params=params, tags=tags) as run:
            run.log_epoch(0, {"val_loss": 1.0 + place})
    run = tracker.start_run("wine", "now")
    with reading() as opened:
        yield opened
    run.finish()


@pytest.mark.parametrize(
    "by",
    ["experiment", "status", "value", "params.value", "tags.half", "epochs", "experiment,even", "parent", "val_loss",
     "monitor"],
)  # fmt: skip
def test_counting_alone_is_the_same_answer(reader: Reader, by: str) -> None:
    for where in (None, "val_loss > 3"):
        whole, counted = groups(reader, by, where), groups(reader, by, where, judged=False)
        assert whole.names == (*counted.names, *(column.name for column in JUDGED))
        kept = len(counted.names)
        assert [repr(row[:kept]) for row in whole.rows] == [repr(row) for row in counted.rows]
        assert whole.columns[:kept] == counted.columns


def test_values_that_are_equal_to_a_person_are_one_group(reader: Reader) -> None:
    found = {
        repr(row["params.value"]): row["runs"] for row in groups(reader, "params.value").dicts()
    }
    # The newest run of a group stands for it; the run without the param and the one with None are one.
    assert found == {
        "None": 2, "1e-05": 1, "[1, 2]": 2, "nan": 2, "'1'": 1, "True": 1, "1.0": 2,
    }  # fmt: skip


def test_a_group_has_counts_times_and_a_best_run(reader: Reader) -> None:
    wine, digits = groups(reader, "experiment").dicts()
    assert [column.name for column in COUNTED] == ["runs", "running", "seconds", "started"]
    assert (wine["experiment"], wine["runs"], wine["running"]) == ("wine", 4, 1)
    assert (digits["runs"], digits["running"], digits["best"], digits["mean"]) == (7, 0, 1.0, 4.0)
    assert digits["std"] == pytest.approx(math.sqrt(28 / 6)) and digits["seconds"] > 0
    assert groups(reader, "experiment", limit=1).cells("experiment") == ["wine"]


@pytest.mark.parametrize("judged", [True, False])
def test_what_cannot_be_grouped_by_is_refused(reader: Reader, judged: bool) -> None:
    with pytest.raises(WhereError, match=r"params\.valeu.*did you mean value"):
        groups(reader, "params.valeu", judged=judged)
    with pytest.raises(BadValue, match="such as experiment"):
        groups(reader, "", judged=judged)
