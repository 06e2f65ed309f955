"""Step metrics in pieces are those of the whole frame, and what is exported is the same, cell for cell."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pandas as pd
import pytest

import tracker
from tracker.exports.csv import write_csv
from tracker.exports.json import write_json
from tracker.exports.parquet import write_parquet
from tracker.exports.stream import stream_runs
from tracker.queries.runs import run_ids
from tracker.storage.database import reading

LONG = 20_000
ODD = 'a,"b"\u2028=x'


@pytest.fixture(autouse=True)
def recorded(folder: Path) -> None:
    """Record two runs of one name: one longer than some blocks and resumed, one short, with odd names and values."""
    with tracker.start_run("x", "same", system_metrics=False) as run:
        for step in range(LONG):
            run.log(
                {"loss": step / 3, "rare": float(step)} if step % 1000 == 0 else {"loss": step / 3},
                step=step,
            )
    with tracker.start_run(resume=run.id, system_metrics=False) as run:
        for step in range(LONG - 50, LONG + 50):
            run.log({"loss": -float(step)}, step=step)
    with tracker.start_run("x", "same", system_metrics=False) as run:
        for step, value in enumerate([math.nan, math.inf, -math.inf, -0.0, 1e-300, 2.0]):
            run.log({"loss": value, ODD: value}, step=step)


@pytest.mark.parametrize("size", [1, 8192, 30_000, 10**9])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"names": "loss"},
        {"names": ["rare", "loss"], "start": 100, "stop": 17_000},
        {"superseded": True},
    ],
)
def test_the_pieces_are_the_frame(size: int, asked: dict[str, object]) -> None:
    frames = list(tracker.iter_metrics(size=size, **asked))  # type: ignore[arg-type]
    whole = tracker.metrics(**asked)  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), whole, check_dtype=False)
    assert all(frame["run"].nunique() == 1 for frame in frames)
    assert max(map(len, frames)) <= max(size, 8192)
    assert list(frames[0].dtypes) == list(whole.dtypes) or asked


def test_what_is_asked_for_wrongly_is_said_with_the_first_piece() -> None:
    with pytest.raises(tracker.UnknownMetric, match="loss"):
        next(tracker.iter_metrics(names="los"))
    with pytest.raises(tracker.BadValue, match="size"):
        next(tracker.iter_metrics(size=0.5))  # type: ignore[arg-type]
    assert list(tracker.iter_metrics(database="none.db")) == []


def test_exports_hold_the_points_of_the_frame() -> None:
    whole = tracker.metrics()
    texts = io.StringIO(), io.StringIO()
    with reading(None) as reader:
        ids = run_ids(reader)[::-1]
        write_csv(stream_runs(reader, "metrics", ids), texts[0])
        write_json(stream_runs(reader, "metrics", ids), texts[1])
    times = [time.isoformat(timespec="microseconds") for time in whole["time"]]
    names = ["'" + name if name.startswith("=") else name for name in whole["name"]]
    cells = zip(whole["run"], names, whole["step"], times, whole["value"], strict=True)
    rows = [
        [run, name, str(step), time, repr(float(value))] for run, name, step, time, value in cells
    ]
    assert list(csv.reader(io.StringIO(texts[0].getvalue())))[1:] == rows
    words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    read = [[*row.values()] for row in json.loads(texts[1].getvalue())]
    assert [[*row[:2], str(row[2]), row[3], repr(row[4]).strip("'")] for row in read] == [
        [*row[:4], words.get(row[4], row[4])] for row in rows
    ]


def test_parquet_holds_the_points_of_the_frame(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    whole = tracker.metrics()
    with reading(None) as reader:
        write_parquet(stream_runs(reader, "metrics", run_ids(reader)[::-1]), folder / "x.parquet")
    back = pd.read_parquet(folder / "x.parquet")
    pd.testing.assert_frame_equal(
        back, whole.astype({"run": back["run"].dtype, "name": back["name"].dtype})
    )
