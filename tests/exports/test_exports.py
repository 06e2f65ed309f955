"""Exports: cell for cell what Keras' CSVLogger writes, and files that are whole and harmless."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import tracker
from tracker import exports
from tracker.errors import NotWritable
from tracker.exports.cells import csv_cell, quote_formula
from tracker.exports.csv import history_rows, write_csv, write_history_csv
from tracker.exports.json import write_json
from tracker.exports.parquet import write_parquet
from tracker.queries import api as queries
from tracker.queries.result import Column, Listing
from tracker.storage.database import reading

FITS: list[list[dict[str, float]]] = [
    [{"loss": 0.5, "acc": 0.25, "val_loss": 0.1 + 0.2}, {"loss": 1e-7, "acc": 1.0, "val_loss": 3.0}],
    [{"loss": math.nan, "val_loss": math.inf}, {"loss": -math.inf, "val_loss": -0.0}],
    [{"loss": 0.5, "mae": 1e22}, {"loss": 0.25, "mae": 5e-324, "val_loss": 1.0, "val_mae": 2.0}],
    [{"loss": 0.5, "val_loss": 0.5, "learning_rate": 0.001}, {"loss": 0.5, "val_loss": 0.25}],
    [{'odd "name", here': 1.0, "a,b": 2.0, "val_x": 3.0}],
]  # fmt: skip


def record(fit: list[dict[str, float]], name: str = "a", **more: Any) -> None:
    with tracker.start_run("digits", name, **more) as run:
        for epoch, metrics in enumerate(fit):
            run.log_epoch(epoch, metrics, seconds=0.5)


@pytest.mark.xdist_group("keras-torch")
def test_one_run_is_written_as_keras_csv_logger_writes_that_fit(folder: Path) -> None:
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    for number, fit in enumerate(FITS):
        logger = keras.callbacks.CSVLogger(str(folder / "keras.csv"))
        logger.on_train_begin()
        for epoch, metrics in enumerate(fit):
            logger.on_epoch_end(epoch, dict(metrics))
        logger.on_train_end()
        record(fit, f"fit-{number}")
        with (folder / "ours.csv").open("w", newline="") as file:
            write_history_csv(tracker.history(f"fit-{number}"), file, padded=True)
        assert (folder / "ours.csv").read_bytes() == (folder / "keras.csv").read_bytes()


def test_metrics_that_come_late_and_that_keras_drops_follow_the_others() -> None:
    record([{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5, "late": 3.0}])
    assert list(history_rows(tracker.history("a"), padded=True)) == [
        ["epoch", "loss", "val_loss", "late"], [0, 1.0, 2.0, "NA"], [1, 0.5, "NA", 3.0],
    ]  # fmt: skip


def test_a_run_without_epochs_is_a_header() -> None:
    record([])
    assert list(history_rows(tracker.history("a"), padded=True)) == [["epoch"]]


def csv_of(what: str, **options: Any) -> pd.DataFrame:
    text = io.StringIO()
    with reading() as reader:
        ids = [row["id"] for row in queries.overview(reader, order_by="started").dicts()]
        write_csv(exports.stream_runs(reader, what, ids), text, **options)
    text.seek(0)
    return pd.read_csv(text, dtype=str, keep_default_na=False)


def test_several_runs_have_their_columns_in_front() -> None:
    record([{"loss": 0.1 + 0.2}], "a", params={"lr": 1e-3}, tags={"team": "x"})
    record([{"acc": math.inf}, {"acc": 0.5}], "b", params={"act": "relu"})
    frame = csv_of("epochs")
    assert list(frame.columns) == [
        "run", "id", "experiment", "status", "tags.team", "params.act", "params.lr",
        "epoch", "attempt", "seconds", "learning_rate", "acc", "loss",
    ]  # fmt: skip
    assert frame["run"].tolist() == ["a", "b", "b"]
    assert float(frame["loss"].iloc[0]) == 0.1 + 0.2
    assert frame["acc"].tolist() == ["", "inf", "0.5"]
    assert frame["params.lr"].tolist() == ["0.001", "", ""]


def test_chunks_of_runs_share_one_header(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        record([{f"m{number}": 1.0, "seconds": 2.0}], f"r{number}")
    whole = csv_of("epochs")
    monkeypatch.setattr(sys.modules["tracker.exports.stream"], "_RUNS_PER_CHUNK", 2)
    pd.testing.assert_frame_equal(csv_of("epochs"), whole)
    assert whole["metrics.seconds"].tolist() == ["2.0"] * 5


def test_a_logged_rate_that_is_not_the_one_trained_with_has_a_column(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, rate in (("a", 0.1), ("b", 0.05)):
        with tracker.start_run("digits", name) as run:
            run.log_epoch(0, {"learning_rate": 0.05}, learning_rate=rate)
    for size in (100, 1):
        monkeypatch.setattr(sys.modules["tracker.exports.stream"], "_RUNS_PER_CHUNK", size)
        frame = csv_of("epochs")
        assert frame["learning_rate"].tolist() == ["0.1", "0.05"]
        assert frame["metrics.learning_rate"].tolist() == ["0.05", "0.05"]


def test_step_metrics_are_written_point_by_point() -> None:
    with tracker.start_run("digits", "a") as run:
        for step in range(3):
            run.log({"x": step / 3})
    frame = csv_of("metrics")
    assert list(frame.columns) == ["run", "name", "step", "time", "value"]
    assert [float(value) for value in frame["value"]] == [0.0, 1 / 3, 2 / 3]
    assert pd.to_datetime(frame["time"]).dt.tz is not None


PAYLOADS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "-2+3",
    "=cmd|' /C calc'!A0",
    " =1",
    "\u00a0=1",
    "\n\u2003@x",
]


@pytest.mark.parametrize("text", PAYLOADS)
def test_text_that_a_spreadsheet_would_run_is_made_harmless(text: str) -> None:
    column = Column("params.x", "text")
    assert csv_cell(text, column) == f"'{text}"
    assert csv_cell(text, column, raw=True) == text
    assert quote_formula("plain = text") == "plain = text"


@pytest.mark.parametrize("number", [-1.5, -3, -math.inf, 1e-9, -0.0])
def test_numbers_are_never_quoted(number: float) -> None:
    assert csv_cell(number, Column("x", "number")) == str(number)


def test_names_params_and_headers_are_made_harmless_too() -> None:
    record([{"=cmd": 1.0}], "=run", params={"@p": "+x", "n": -1}, tags={"t": "-y"})
    frame = csv_of("epochs")
    assert frame["run"].tolist() == ["'=run"]
    assert frame["params.@p"].tolist() == ["'+x"]
    assert frame["params.n"].tolist() == ["-1"]
    assert frame["tags.t"].tolist() == ["'-y"]
    assert "'=cmd" in frame.columns
    assert "=cmd" in csv_of("epochs", raw=True).columns


def test_json_tells_nan_infinity_and_nothing_apart() -> None:
    record(
        [{"a": math.nan, "b": math.inf}, {"a": -math.inf, "c": -0.0}],
        params={"list": [1, math.nan]},
    )
    text = io.StringIO()
    with reading() as reader:
        write_json(exports.stream_listing(queries.epochs(reader)), text)
        first, second = json.loads(text.getvalue())
        assert (first["a"], first["b"], first["c"]) == ("NaN", "Infinity", None)
        assert (second["a"], math.copysign(1, second["c"])) == ("-Infinity", -1)
        text = io.StringIO()
        write_json(exports.stream_listing(queries.runs(reader)), text)
    (run,) = json.loads(text.getvalue())
    assert run["params.list"] == [1, "NaN"]
    assert run["started"].endswith("+00:00")


def test_json_without_rows_is_an_empty_array() -> None:
    text = io.StringIO()
    write_json(exports.stream_listing(Listing(())), text)
    assert json.loads(text.getvalue()) == []


def test_control_characters_are_escaped_in_json() -> None:
    text = io.StringIO()
    write_json(
        exports.stream_listing(Listing((Column("x", "text"),), [["\x1b[31m\x7f\x9b\u202e"]])), text
    )
    assert not any(letter in text.getvalue() for letter in "\x1b\x7f\x9b\u202e")
    assert json.loads(text.getvalue()) == [{"x": "\x1b[31m\x7f\x9b\u202e"}]


@pytest.mark.parametrize("what", exports.CONTENTS)
def test_parquet_holds_the_same_as_the_frames(what: str, folder: Path) -> None:
    pytest.importorskip("pyarrow")
    (folder / "f.pt").write_bytes(b"1")
    with tracker.start_run("digits", "a", params={"lr": 1e-3, "mix": [1], "n": 2**60}) as run:
        run.log_epoch(0, {"loss": math.nan, "acc": -math.inf})
        run.log({"x": 1.0})
        run.log_checkpoint("f.pt", epoch=0)
        run.add_policy("P").decide("waited", epoch=0, reason="r")
    with reading() as reader:
        stream = exports.stream_runs(reader, what, [run.id])
        write_parquet(stream, folder / "x.parquet")
    back = pd.read_parquet(folder / "x.parquet")
    frame = getattr(tracker, what)()
    assert len(back) == len(frame) == 1
    assert set(frame.columns) <= set(back.columns)
    for name in ("loss", "acc", "value", "params.n", "started", "time", "created", "decided"):
        if name in frame:
            assert back[name].iloc[0] == frame[name].iloc[0] or pd.isna(frame[name].iloc[0])


def test_a_file_is_there_whole_or_not_at_all(folder: Path) -> None:
    target = folder / "out.csv"
    target.write_text("before")

    def fails(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError):
        exports.save_whole(target, fails)
    assert target.read_text() == "before"
    assert [path.name for path in folder.iterdir()] == ["out.csv"]


def test_what_cannot_be_written_is_named(folder: Path, script: Callable[..., Any]) -> None:
    with pytest.raises(NotWritable, match="is a folder"):
        exports.save_whole(folder, lambda path: None)
    (folder / "file").write_text("")
    with pytest.raises(NotWritable, match="cannot be"):
        exports.save_whole(folder / "file" / "x.csv", lambda path: path.write_text(""))
    (folder / "locked").mkdir(mode=0o555)
    code = """
import pathlib, tracker
from tracker import exports
try:
    exports.save_whole(pathlib.Path("locked/x.csv"), lambda path: path.write_text("x"))
except tracker.NotWritable as error:
    print(error)
"""
    said, trouble = script(code, unprivileged=True).communicate()
    assert "locked/x.csv cannot be written: Permission denied." in said, trouble


def test_a_device_is_written_directly() -> None:
    exports.save_whole(Path(os.devnull), lambda path: path.write_text("x"))
    assert Path(os.devnull).is_char_device()
