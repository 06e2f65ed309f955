"""Runs that log steps and never an epoch are listed, sorted, filtered, compared and shown like any other."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

import tracker
from tests.helpers.cli import runner
from tracker.cli import program
from tracker.queries import api as queries
from tracker.storage.database import reading


def cli(*words: str) -> str:
    result = runner().invoke(program, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def record(name: str, losses: list[float], *, start: int = 100, **more: Any) -> str:
    with tracker.start_run(name=name, **more) as run:
        for step, loss in enumerate(losses, start=start):
            run.log({"loss": loss, "acc": 1 - loss}, step=step)
    return run.id


@pytest.fixture(autouse=True)
def two_runs(folder: object) -> None:
    record("low", [0.9, 0.31, 0.4], params={"lr": 0.1})
    record("high", [0.8, 0.5, 0.6], params={"lr": 0.2})


def test_the_list_shows_the_best_value_with_its_step() -> None:
    out = cli("runs", "list", "--sort", "loss")
    assert out.index("low") < out.index("high")
    assert "0.31 @ step 101" in out
    assert "0.4 @ step 102" in out


def test_the_frame_has_the_step_and_no_epoch() -> None:
    frame = tracker.runs(order_by="loss").set_index("name")
    assert frame.loc["low", ["monitor", "best", "best_step", "last", "last_step"]].tolist() == [
        "loss", 0.31, 101, 0.4, 102,
    ]  # fmt: skip
    assert frame["best_epoch"].isna().all()
    assert frame["last_epoch"].isna().all()
    assert frame["acc"].tolist() == [0.69, 0.5]
    assert frame.index.tolist() == ["low", "high"]


def test_runs_are_filtered_and_sorted_by_step_metrics() -> None:
    assert tracker.runs("loss < 0.4")["name"].tolist() == ["low"]
    assert tracker.runs("last(acc) >= 0.4", "-acc")["name"].tolist() == ["high", "low"]
    assert tracker.runs(order_by="loss", limit=1)["name"].tolist() == ["low"]
    assert tracker.runs(order_by="-last(loss)")["name"].tolist() == ["high", "low"]


def test_runs_are_compared_with_steps() -> None:
    out = cli("runs", "compare", "low", "high")
    assert "0.31 @ step 101" in out
    assert "0.5 @ step 101" in out
    rows = {
        row["field"]: row
        for row in json.loads(cli("runs", "compare", "low", "high", "--format", "json"))
    }
    assert (rows["loss best"]["low"], rows["loss best_step"]["low"]) == (0.31, 101)
    assert rows["loss best_epoch"]["low"] is None
    assert rows["loss last_step"]["high"] == 102


def test_a_run_of_epochs_is_compared_with_one_of_steps() -> None:
    with tracker.start_run(name="epochs") as run:
        run.log_epoch(3, {"loss": 0.2})
    out = cli("runs", "compare", "low", "epochs", "--metric", "loss")
    assert "0.31 @ step 101" in out
    assert "0.2 @ 3" in out
    assert tracker.runs(order_by="loss")["name"].tolist() == ["epochs", "low", "high"]


def test_show_says_where_the_best_was_and_how_far_it_came() -> None:
    out = cli("runs", "show", "low")
    assert "Finished after step 102." in out
    assert "0.31 @ step 101" in out
    metrics = json.loads(cli("runs", "show", "low", "--format", "json"))["metrics"]
    assert (metrics["loss"]["best_step"], metrics["loss"]["best_epoch"]) == (101, None)
    assert (metrics["loss"]["max_step"], metrics["loss"]["last_step"]) == (100, 102)


def test_watch_follows_the_steps() -> None:
    out = cli("runs", "watch", "low")
    assert "step   102" in out
    assert "loss 0.4" in out
    assert out.endswith("Finished after step 102.\n")


def test_watch_prints_each_step_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run = tracker.start_run(name="live")
    looks = iter([{"loss": 1.0}, None, {"loss": 0.5}, None])

    def look(seconds: float) -> None:
        metrics = next(looks, "end")
        if metrics == "end":
            run.finish()
        elif metrics is not None:
            run.log(metrics)
            run.writer.flush()  # type: ignore[attr-defined]

    monkeypatch.setattr("tracker.cli.runs_watch.time.sleep", look)
    shown = cli("runs", "watch", "live").splitlines()
    lines = [re.sub(r"  \S+ steps/s.*$", "", line) for line in shown]
    assert "steps/s" in shown[1]
    assert lines == ["step     0  loss 1", "step     1  loss 0.5", "Finished after step 1."]


def test_a_running_run_says_its_step() -> None:
    run = tracker.start_run(name="live")
    run.log({"loss": 1.0}, step=41)
    run.writer.flush()  # type: ignore[attr-defined]
    assert "Running: step 41 so far" in cli("runs", "show", "live")
    assert "1 @ step 41" in cli("runs", "list")
    run.finish("failed", error="boom")
    assert "Failed after step 41: boom." in cli("runs", "show", "live")


def test_a_metric_of_epochs_stays_the_headline() -> None:
    with tracker.start_run(name="mixed") as run:
        run.log({"loss": 0.1, "val_loss": 0.01}, step=5)
        run.log_epoch(0, {"accuracy": 0.5})
    with reading() as reader:
        row = next(queries.overview(reader, "name = 'mixed'").dicts())
    assert (row["monitor"], row["best"], row["best_epoch"], row["best_step"]) == (
        "accuracy",
        0.5,
        0,
        None,
    )
    assert tracker.runs("name = 'mixed'")["val_loss"].tolist() == [0.01]


def test_what_a_callback_monitors_by_steps_is_the_headline() -> None:
    with tracker.start_run(name="monitored") as run:
        run.add_policy("ModelCheckpoint", monitor="acc", config={"mode": "max"})
        for step, acc in enumerate([0.1, 0.9, 0.3]):
            run.log({"acc": acc, "loss": 1.0}, step=step)
    row = tracker.runs("name = 'monitored'").iloc[0]
    assert (row["monitor"], row["best"], row["best_step"]) == ("acc", 0.9, 1)


def test_a_run_whose_steps_are_all_nan_has_no_best() -> None:
    record("nan", [math.nan, math.nan])
    row = tracker.runs("name = 'nan'").iloc[0]
    assert row["last_step"] == 101
    assert math.isnan(row["best"])
    assert "- @" not in cli("runs", "show", "nan")


def test_epochs_and_their_export_know_nothing_of_step_metrics() -> None:
    assert json.loads(cli("export", "--json")) == []
    with tracker.start_run(name="mixed") as run:
        run.log({"batch": 0.1})
        run.log_epoch(0, {"loss": 0.5})
    (row,) = json.loads(cli("export", "--json"))
    assert "batch" not in row
    assert "batch" not in tracker.epochs().columns


def test_one_metric_of_several_runs_is_indexed_by_step() -> None:
    frame = tracker.compare("high", "low", metric="loss")
    assert frame.index.name == "step" and frame.index.tolist() == [100, 101, 102]
    assert frame.to_dict("list") == {"high": [0.8, 0.5, 0.6], "low": [0.9, 0.31, 0.4]}
    assert tracker.compare(metric="loss").columns.tolist() == ["low", "high"]
    shown = cli("runs", "compare", "high", "low", "--metric", "loss")
    assert "0.31 @ step 101" in shown
    assert not re.search(r"^acc\b", shown, re.MULTILINE)


def test_of_a_step_that_was_logged_again_it_is_the_last_value_and_nothing_superseded() -> None:
    with tracker.start_run(name="again") as run:
        for step, loss in ((1, 5.0), (3, math.nan), (3, 4.0), (2, 7.0)):
            run.log({"loss": loss}, step=step)
    with tracker.start_run(resume="again") as run:
        run.log({"loss": 1.5}, step=2)
    frame = tracker.compare("again", "low", metric="loss")
    assert frame.index.tolist() == [1, 2, 100, 101, 102]
    assert frame["again"].tolist()[:2] == [5.0, 1.5] and frame["again"].isna().sum() == 3


def test_a_metric_that_epochs_have_is_compared_by_them() -> None:
    with tracker.start_run(name="both") as run:
        run.log({"loss": 9.0}, step=7)
        run.log_epoch(0, {"loss": 2.0})
    frame = tracker.compare("both", "low", metric="loss")
    assert frame.index.name == "epoch" and frame["both"].tolist() == [2.0]
    assert frame["low"].isna().all()


def test_a_metric_that_no_run_has_is_named_with_those_of_steps() -> None:
    with pytest.raises(tracker.UnknownMetric, match="did you mean loss"):
        tracker.compare("low", metric="los")
