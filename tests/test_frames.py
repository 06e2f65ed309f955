"""What was recorded, as pandas DataFrames."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tracker
from tracker.errors import BadValue, UnknownMetric, UnknownRun


def record(name: str, losses: list[float], **more: Any) -> tracker.Run:
    with tracker.start_run("digits", name, **more) as run:
        for epoch, loss in enumerate(losses):
            run.log_epoch(epoch, {"loss": loss, "val_loss": loss * 2}, seconds=0.5)
    return run


def test_runs_has_a_row_a_run_with_params_tags_and_metrics_at_their_best() -> None:
    record(
        "a", [0.3, 0.1, 0.2], params={"lr": 1e-3, "units": 64, "act": "relu"}, tags={"team": "x"}
    )
    record("b", [0.4], params={"lr": 1, "layers": [1, 2]})
    frame = tracker.runs(order_by="val_loss")
    assert list(frame.columns[:7]) == [
        "id", "name", "experiment", "status", "started", "seconds", "epochs",
    ]  # fmt: skip
    assert list(frame["name"]) == ["a", "b"]
    assert list(frame["params.lr"]) == [1e-3, 1.0]
    assert list(frame["loss"]) == [0.1, 0.4]
    assert list(frame["best_epoch"]) == [1, 0]
    assert frame["started"].dtype == "datetime64[us, UTC]"
    assert frame["params.units"].dtype == "Int64"
    assert frame["params.layers"].iloc[1] == [1, 2]
    assert frame["tags.team"].iloc[0] == "x"
    assert tracker.runs("val_loss < 0.3", limit=5)["name"].tolist() == ["a"]


def test_integers_and_texts_come_back_exactly() -> None:
    record("a", [0.1], params={"seed": 2**62 + 1, "huge": 2**80, "text": "=1+1", "flag": True})
    record("b", [0.1], params={"huge": 1})
    a = tracker.runs("name = 'a'").iloc[0]
    assert (a["params.seed"], a["params.huge"], a["params.text"]) == (2**62 + 1, 2**80, "=1+1")
    both = tracker.runs(order_by="name")
    assert both["params.seed"].iloc[0] == 2**62 + 1
    assert both["params.seed"].isna().iloc[1]
    assert bool(both["params.flag"].iloc[0]) is True


def test_epochs_has_a_row_an_epoch_with_metrics_in_the_order_they_came() -> None:
    with tracker.start_run("digits", "a") as run:
        run.log_epoch(0, {"zeta": 1.0, "alpha": math.nan}, seconds=1.5, learning_rate=0.1)
        run.log_epoch(1, {"zeta": -math.inf, "late": -0.0}, seconds=2.5)
    frame = tracker.epochs("a")
    assert list(frame.columns) == [
        "run", "epoch", "attempt", "seconds", "learning_rate", "zeta", "alpha", "late",
    ]  # fmt: skip
    assert frame["epoch"].dtype == frame["attempt"].dtype == np.int64
    assert frame["zeta"].tolist() == [1.0, -math.inf]
    assert math.copysign(1, frame["late"].iloc[1]) == -1
    assert frame["alpha"].isna().all()
    assert frame["seconds"].tolist() == [1.5, 2.5]


def test_runs_of_one_name_are_told_apart_by_their_ids() -> None:
    first, second = record("a", [0.1]), record("a", [0.2])
    labels = [f"a@{run.id[:8]}" for run in (first, second)]
    assert tracker.epochs()["run"].tolist() == labels
    assert tracker.compare().columns.tolist() == labels
    assert tracker.epochs(labels[0])["run"].tolist() == ["a"]
    assert tracker.epochs(second)["loss"].tolist() == [0.2]


def test_compare_is_indexed_by_epoch_with_a_column_a_run() -> None:
    record("long", [0.3, 0.2, 0.1])
    record("short", [0.5])
    frame = tracker.compare("short", "long", metric="val_loss")
    assert frame.index.name == "epoch"
    assert frame.index.tolist() == [0, 1, 2]
    assert frame.columns.tolist() == ["short", "long"]
    assert frame["long"].tolist() == [0.6, 0.4, 0.2]
    assert frame["short"].isna().tolist() == [False, True, True]
    assert (frame.dtypes == np.float64).all()


def test_compare_equals_the_values_that_were_logged_bit_by_bit() -> None:
    values = [math.pi, 1e-300, -0.0, math.inf, -math.inf, 5e-324, 0.1 + 0.2]
    record("a", values)
    read = tracker.compare("a", metric="loss")["a"].to_numpy()
    assert read.tobytes() == np.array(values).tobytes()


def test_a_metric_that_no_run_has_and_an_unknown_run_are_named() -> None:
    record("a", [0.1])
    with pytest.raises(UnknownMetric, match="val_loss"):
        tracker.compare("a", metric="val_accuracy")
    with pytest.raises(UnknownRun, match="did you mean a"):
        tracker.epochs("aa")


def test_metrics_has_a_row_a_point_in_the_order_of_the_calls() -> None:
    with tracker.start_run("digits", "a") as run:
        for step in (5, 3, 3):
            run.log({"loss": step / 2, "lr": 1.0}, step=step)
    frame = tracker.metrics("a", names="loss")
    assert list(frame.columns) == ["run", "name", "step", "time", "value"]
    assert frame["step"].tolist() == [5, 3, 3]
    assert frame["value"].tolist() == [2.5, 1.5, 1.5]
    assert frame["time"].dtype == "datetime64[us, UTC]"
    assert frame["run"].unique().tolist() == ["a"]
    assert tracker.metrics("a", names=["lr", "loss"])["name"].tolist() == ["lr"] * 3 + ["loss"] * 3
    assert len(tracker.metrics("a")) == 6
    assert tracker.metrics("a", names="loss", start=4)["step"].tolist() == [5]
    assert tracker.metrics("a", names="loss", stop=5)["step"].tolist() == [3, 3]


def test_thinned_metrics_keep_the_extremes_of_each_run() -> None:
    for name, peak in (("a", 10.0), ("b", 20.0)):
        with tracker.start_run("digits", name) as run:
            for step in range(1000):
                run.log({"x": peak if step == 500 else step / 1e4})
    for frame in (tracker.metrics(points=20), tracker.metrics(every=50)):
        assert frame.groupby("run", observed=True)["value"].max().tolist() == [10.0, 20.0]
        assert frame.groupby("run", observed=True).size().max() <= 20
        assert frame.groupby("run", observed=True)["step"].max().tolist() == [999, 999]
    with pytest.raises(BadValue, match="not both"):
        tracker.metrics(points=20, every=2)


def test_checkpoints_and_decisions_are_frames_with_the_documented_columns(folder: Path) -> None:
    (folder / "one.pt").write_bytes(b"1")
    with tracker.start_run("digits", "a") as run:
        run.log_checkpoint("one.pt", epoch=0, monitor="val_loss", value=0.5)
        run.add_policy("EarlyStopping", monitor="val_loss", config={"patience": 2}).decide(
            "waited", epoch=0, reason="no better", value=0.5, best=None, wait=1
        )
    (files,) = tracker.checkpoints().to_dict("records")
    assert (files["alias"], files["state"], files["path"]) == ("best, last", "available", "one.pt")
    assert Path(files["file"]) == folder / "one.pt"
    (decision,) = tracker.decisions("a").to_dict("records")
    assert (decision["policy"], decision["verdict"], decision["wait"]) == (
        "EarlyStopping",
        "waited",
        1,
    )
    assert math.isnan(decision["best"])


def test_history_is_plain_data_and_tells_nan_from_nothing() -> None:
    with tracker.start_run("digits", "a") as run:
        run.log_epoch(0, {"loss": math.nan}, seconds=1.0, learning_rate=0.1)
        run.log_epoch(1, {"other": 2.0}, seconds=1.0)
    first, second = tracker.history("a")
    assert first["epoch"] == 0
    assert first["learning_rate"] == 0.1
    assert math.isnan(first["metrics"]["loss"])
    assert second["metrics"] == {"other": 2.0}


def test_without_a_database_frames_are_empty_and_have_their_columns(folder: Path) -> None:
    assert list(tracker.runs().columns[:3]) == ["id", "name", "experiment"]
    assert tracker.epochs().empty
    assert tracker.metrics().empty
    assert tracker.checkpoints().empty
    assert tracker.decisions().empty
    assert tracker.runs()["started"].dtype == "datetime64[us, UTC]"
    assert not any(folder.iterdir())


def test_a_database_can_be_named_everywhere(folder: Path) -> None:
    with tracker.start_run(database="here.db") as run:
        run.log_epoch(0, {"loss": 1.0, "val_loss": 1.0})
        run.log({"x": 1.0})
    readers: list[Any] = [tracker.runs, tracker.epochs, tracker.metrics, tracker.compare]
    for read in readers:
        assert len(read(database=folder / "here.db")) == 1
    assert isinstance(tracker.decisions(database="here.db"), pd.DataFrame)


def test_names_are_asked_for_as_they_were_logged() -> None:
    logged = ["a\0b", "\ud800", "x" * 100]
    with tracker.start_run("digits", "a") as run:
        run.log(dict.fromkeys(logged, 1.0))
        run.log_epoch(0, {"e\0": 2.0})
    for name in logged:
        assert tracker.metrics("a", names=name)["value"].tolist() == [1.0]
    assert tracker.compare("a", metric="e\0")["a"].tolist() == [2.0]
    with pytest.raises(BadValue, match="names is 5: give the name of a metric, or a list of names"):
        tracker.metrics("a", names=5)  # type: ignore[arg-type]


def test_an_unknown_name_of_any_length_makes_a_short_message() -> None:
    with tracker.start_run("digits", "a") as run:
        run.log({"x" * 5000: 1.0})
        run.log_epoch(0, {"y" * 5000: 2.0})
    for ask in (
        lambda name: tracker.metrics(names=name),
        lambda name: tracker.compare(metric=name),
    ):
        with pytest.raises(UnknownMetric, match="z…") as raised:
            ask("z" * 5000)
        assert len(str(raised.value)) < 300


def test_a_flag_that_some_runs_lack_can_be_negated() -> None:
    for name, params in (("a", {"augment": True}), ("b", {"augment": False}), ("c", {})):
        record(name, [0.1], params=params)
    augment = tracker.runs(order_by="name").set_index("name")["params.augment"]
    assert augment.dtype == "boolean"
    assert list(augment.index[(~augment).fillna(False)]) == ["b"]


def test_a_run_has_one_label_in_every_table_whoever_has_rows_in_it(folder: Path) -> None:
    """Frames are joined by their run: of two runs of a name one has steps only."""
    with tracker.start_run("digits", "a") as first:
        policy = first.add_policy("EarlyStopping", monitor="loss")
        first.log_epoch(0, {"loss": 1.0})
        policy.decide("waited", epoch=0, reason="r")
        file = Path("a.bin")
        file.write_bytes(b"1")
        first.log_checkpoint(file, epoch=0)
    with tracker.start_run("digits", "a") as second:
        second.log({"batch_loss": 1.0}, step=0)
    one, other = f"a@{first.id[:8]}", f"a@{second.id[:8]}"
    for table in (tracker.epochs, tracker.decisions, tracker.checkpoints):
        assert set(table().run) == {one}
    assert set(tracker.metrics().run) == {other}
    assert set(tracker.epochs(first.id).run) == {"a"}  # no other run is meant


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: tracker.runs(limit="3"), "limit is '3': it must be a whole number of at least 0"),
        (lambda: tracker.runs(limit=2.5), "limit is 2.5: it must be a whole number"),
        (
            lambda: tracker.runs(["loss < 1"]),
            "The filter is \\['loss < 1'\\] \\(list\\): it must be",
        ),
        (lambda: tracker.runs(order_by=3), "The sort key is 3 \\(int\\): it must be text"),
        (lambda: tracker.epochs(["a", "b"]), "is not a run: .* put a \\* before them"),
        (
            lambda: tracker.epochs(3),
            "3 is not a run: give its id, a prefix of it, its name, or a Run.$",
        ),
        (
            lambda: tracker.start_run("e", price_per_hour="2 EUR"),
            "price_per_hour is '2 EUR': give what an hour costs as a number of 0 or more",
        ),
    ],
)
def test_an_argument_of_another_type_is_named(call: Callable[[], object], said: str) -> None:
    with tracker.start_run("e", name="a"):
        pass
    with pytest.raises(tracker.BadValue, match=said):
        call()


def test_a_frame_is_no_run_and_makes_a_short_message() -> None:
    with tracker.start_run("e", name="a"):
        pass
    with pytest.raises(tracker.BadValue) as raised:
        tracker.epochs(tracker.runs())
    assert len(str(raised.value)) < 250
