"""Captured facts and the leaves of nested params are fields like others."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tracker
from tracker.errors import BadValue


@dataclass
class Config:
    folder: Path


def record() -> None:
    for name, rate, batch in (("a", 0.01, 16), ("b", 0.001, 64)):
        with tracker.start_run(
            "e", name, params={"opt": {"lr": rate, "name": "SGD"}, "deep": {"x": {"y": True}}}
        ) as run:
            run.capture(
                fit={"batch_size": batch, "shuffle": True},
                optimizer={"learning_rate": rate, "name": "SGD"},
            )


def test_captured_facts_filter_sort_and_are_columns() -> None:
    record()
    for where in (
        "captured.fit.batch_size = 16", "captured.optimizer.learning_rate > 0.005", "fit.batch_size < 20",
        "optimizer.learning_rate = 0.01", "captured.fit.batch_size = 16 and captured.optimizer.name = 'SGD'",
    ):  # fmt: skip
        assert tracker.runs(where=where)["name"].tolist() == ["a"], where
    assert tracker.runs(order_by="captured.fit.batch_size:desc")["name"].tolist() == ["b", "a"]
    frame = tracker.runs(order_by="name")
    assert frame["captured.fit.batch_size"].tolist() == [16, 64]
    assert not [
        name for name in frame if name.startswith(("captured.machine", "captured.packages"))
    ]
    assert len(tracker.runs(where="captured.python is not null")) == 2
    assert len(tracker.runs(where="captured.fit.shuffle = true")) == 2


def test_captured_facts_that_differ_are_compared(cli: Any) -> None:
    record()
    shown = cli("runs", "compare", "a", "b").output
    assert "captured.fit.batch_size" in shown and "captured.optimizer.learning_rate" in shown
    assert "shuffle" not in shown and "captured.folder" not in shown


def test_the_facts_are_those_of_the_newest_attempt(sql: Any) -> None:
    run = tracker.start_run("e", "r")
    run.capture(fit={"batch_size": 16, "steps": 3})
    run.fail(ValueError("x"))
    with tracker.start_run(resume="r") as again:
        again.capture(fit={"batch_size": 64})
    assert sql("SELECT name, text FROM fact WHERE name LIKE 'fit%'") == [("fit.batch_size", "64")]


def test_nested_params_are_leaves_with_their_types() -> None:
    record()
    assert tracker.runs(where="params.opt.lr = 0.01")["name"].tolist() == ["a"]
    assert tracker.runs(where="params.deep.x.y = true and params.opt.name like 's%'")[
        "name"
    ].tolist() == ["b", "a"]
    row = tracker.runs(order_by="params.opt.lr").iloc[0]
    assert (row["params.opt.lr"], row["params.deep.x.y"]) == (0.001, True)


def test_an_object_that_holds_settings_is_nested_params() -> None:
    optimizer = SimpleNamespace(lr=0.01, name="sgd")
    tracker.start_run(name="a", params=Namespace(seed=1, opt=optimizer)).finish()
    tracker.start_run(name="b", params={"cfg": Config(Path("data"))}).finish()
    assert tracker.runs(where="params.opt.lr = 0.01")["name"].tolist() == ["a"]
    assert tracker.runs(where="params.cfg.folder = 'data'")["name"].tolist() == ["b"]


def test_two_params_of_one_name_are_refused() -> None:
    with pytest.raises(BadValue, match=r"params has opt\.lr twice, with 1 and 2"):
        tracker.start_run(params={"opt.lr": 1, "opt": {"lr": 2}})
    tracker.start_run(params={"opt.lr": 1, "opt": {"lr": 1, "b": 2}}).finish()
    assert len(tracker.runs()) == 1


def test_an_empty_mapping_and_a_list_are_values(sql: Any) -> None:
    tracker.start_run(params={"a": {}, "b": {"c": [1, {"d": 2}]}, 3: {"x": None}}).finish()
    assert sql("SELECT name, kind, text FROM param ORDER BY name") == [
        ("3.x", "none", ""), ("a", "json", "{}"), ("b.c", "json", '[1,{"d":2}]'),
    ]  # fmt: skip


def test_a_param_that_is_nan_is_found() -> None:
    tracker.start_run(name="a", params={"clip": float("nan")}).finish()
    tracker.start_run(name="b", params={"clip": "nan"}).finish()
    tracker.start_run(name="c", params={"clip": 1.0}).finish()
    assert tracker.runs(where="params.clip is nan")["name"].tolist() == ["a"]
    assert tracker.runs(where="params.clip is not nan")["name"].tolist() == ["c", "b"]


def test_a_metric_named_like_a_param_has_a_column_of_its_own() -> None:
    with tracker.start_run(params={"lr": 0.1}, tags={"t": "x"}) as run:
        run.log_epoch(0, {"loss": 1, "params.lr": 7.0, "tags.t": 8.0, "captured.python": 9.0})
    frame = tracker.runs()
    assert list(frame.columns).count("params.lr") == 1
    row = frame.iloc[0]
    assert (row["params.lr"], row["metrics.params.lr"]) == (0.1, 7.0)
    assert (row["tags.t"], row["metrics.tags.t"], row["metrics.captured.python"]) == ("x", 8.0, 9.0)
