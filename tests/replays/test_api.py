"""What a replay is asked, by Python and by the command line."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from click.testing import Result

import tracker
from tests.helpers.cli import runner
from tracker.cli import program
from tracker.policies import Retention


def record(name: str, metric: str = "val_loss", parent: Any = None, **stopping: Any) -> Any:
    """Record six epochs, the third of which is best by val_loss, and a callback if it has settings."""
    with tracker.start_run("replays", name=name, parent=parent) as run:
        if stopping:
            run.add_policy("EarlyStopping", monitor=metric, config={"mode": "min", **stopping})
        for epoch in range(6):
            value = float(abs(epoch - 2))
            run.log_epoch(epoch, {metric: value, "val_accuracy": 1 - value / 10}, seconds=1.0)
    return run


def call(*arguments: str) -> Result:
    """Call a command of ``tracker decisions``."""
    return runner().invoke(program, ["decisions", *arguments])


def rows(*arguments: str) -> list[dict[str, Any]]:
    """Return what a command lists."""
    result = call(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_a_metric_that_is_asked_for_has_its_own_direction_and_no_baseline() -> None:
    record("own", patience=3, baseline=0.5)
    row = tracker.replay("own", monitor="val_accuracy", patience=2).iloc[0]
    assert (row["best_epoch"], row["best"], row["stop_epoch"]) == (2, 1.0, 4)
    assert tracker.replay("own", monitor="val_loss", patience=1).iloc[0]["stop_epoch"] == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--factor", "0.5"], "--factor belongs to ReduceLROnPlateau: add --policy ReduceLROnPlateau"),
        (["--cooldown", "1"], "--cooldown belongs to ReduceLROnPlateau: add --policy"),
        (["--keep", "1"], "--keep belongs to ModelCheckpoint: add --policy ModelCheckpoint"),
        (["--max-size", "1GB"], "--max-size belongs to ModelCheckpoint: add --policy ModelCheckpoint"),
        (["--policy", "ModelCheckpoint", "--patience", "2"], "--patience belongs to EarlyStopping"),
        (["--policy", "ReduceLROnPlateau", "--curve"], "--curve belongs to EarlyStopping"),
    ],
)  # fmt: skip
def test_an_option_of_another_callback_is_a_wrong_call(options: list[str], said: str) -> None:
    record("own")
    told = call("replay", "own", *options)
    assert told.exit_code == 2 and said in told.stderr


def test_in_python_it_is_named_as_it_was_written() -> None:
    with pytest.raises(tracker.BadValue, match="factor= belongs to ReduceLROnPlateau: add policy="):
        tracker.replay(factor=0.5)
    with pytest.raises(tracker.BadValue, match="policy is 'Early'"):
        tracker.replay(policy="Early")


@pytest.mark.parametrize("rules", ["tracker-1", "keras-3.15"])
def test_a_mode_that_there_is_none_of_is_refused_under_all_rules(rules: str) -> None:
    record("own")
    with pytest.raises(tracker.BadValue, match="mode is 'foo': it must be one of auto, min, max"):
        tracker.replay("own", mode="foo", rules=rules)


def test_runs_are_taken_as_they_are() -> None:
    run = record("own")
    assert tracker.replay(run, patience=1)["run"].tolist() == ["own"]
    assert len(tracker.epochs(run)) == len(tracker.compare(run)) == 6
    assert tracker.metrics(run).empty and tracker.checkpoints(run).empty
    with pytest.raises(tracker.BadValue, match="3 is not a run"):
        tracker.decisions(3)  # type: ignore[arg-type]


def test_children_come_with_their_parent_and_a_filter_holds_for_runs_that_are_named() -> None:
    parent = record("parent")
    record("child", parent=parent)
    assert tracker.replay(parent, children=True)["run"].tolist() == ["parent", "child"]
    both = ("replay", "parent", "child", "--where", "name = 'child'")
    assert [row["run"] for row in rows(*both)] == ["child"]


def test_a_curve_of_different_metrics_is_refused() -> None:
    record("one", patience=2)
    record("two", "val_error", patience=2)
    told = call("replay", "--curve")
    assert told.exit_code == 2 and "(val_error, val_loss)" in told.stderr
    assert "--monitor" in told.stderr
    assert rows("replay", "--curve", "--monitor", "val_accuracy")[0]["runs"] == 2


def test_runs_without_the_metric_are_left_out_and_named_unless_the_user_named_them() -> None:
    for name in ("one", "two"):
        record(name)
    record("nometric", "x")
    said = "1 run without val_loss was left out: nometric."
    told = call("replay", "--monitor", "val_loss", "--patience", "1..3", "--curve")
    assert told.exit_code == 0 and told.stderr.strip() == said
    assert {row["runs"] for row in rows("replay", "--monitor", "val_loss", "--curve")} == {2}
    assert len(rows("replay", "--monitor", "val_loss", "--policy", "ModelCheckpoint")) > 0
    with pytest.warns(UserWarning, match=said):
        assert set(tracker.replay(monitor="val_loss", patience=1)["run"]) == {"one", "two"}
    with pytest.warns(UserWarning, match=said):
        tracker.replay(monitor="val_loss", policy="ReduceLROnPlateau", where="name like '%o%'")
    with pytest.raises(tracker.UnknownMetric, match="nometric has no metric 'val_loss'"):
        tracker.replay("one", "nometric", monitor="val_loss")
    with pytest.raises(
        tracker.UnknownMetric, match="No run has the metric 'val_los': did you mean val_loss"
    ):
        tracker.replay(monitor="val_los")


def test_children_that_nobody_named_are_left_out_too() -> None:
    parent = record("parent")
    record("child", "x", parent=parent)
    with pytest.warns(UserWarning, match="without val_loss was left out: child"):
        found = tracker.replay(parent, children=True, monitor="val_loss")
    assert found["run"].tolist() == ["parent"]


def test_runs_without_epochs_do_not_count() -> None:
    with tracker.start_run("replays", name="sweep") as sweep:
        record("child", parent=sweep)
    told = call("replay", "--patience", "9")
    assert "sweep" not in told.stdout
    assert told.stderr.startswith("1 of 1 would not have stopped")
    assert rows("replay", "--curve")[0]["runs"] == 1
    assert call("replay", "sweep").stderr.strip() == "No runs with epochs."


def test_a_curve_tries_patiences_from_1_to_20() -> None:
    record("own", patience=2)
    assert [row["patience"] for row in rows("replay", "--curve")] == list(range(1, 21))


def test_more_patiences_than_any_run_can_tell_apart_are_refused() -> None:
    record("own")
    assert len(tracker.replay("own", patience=range(1, 10_001))) == 10_000
    with pytest.raises(tracker.BadValue, match="more than 10000 values: give fewer"):
        tracker.replay("own", patience=count(1))
    told = call("replay", "own", "--patience", f"1..{10**30}")
    assert told.exit_code == 2 and "each gives the same outcome" in told.stderr


def test_other_callbacks_are_replayed_from_python_too() -> None:
    record("own")
    lowered = tracker.replay("own", policy="ReduceLROnPlateau", patience=2, factor=0.5, cooldown=5)
    assert lowered["epoch"].tolist() == [4] and lowered["factor"].tolist() == [0.5]
    assert "no learning rate was recorded" in lowered["reason"].item()
    files = tracker.replay("own", policy="ModelCheckpoint", keep=2)
    assert files.loc[files["verdict"] == "saved", "epoch"].tolist() == [1, 2]
    for keep in (0, 2):
        asked = tracker.replay("own", policy="ModelCheckpoint", keep=keep)
        listed = rows("replay", "own", "--policy", "ModelCheckpoint", "--keep", str(keep))
        assert [row["epoch"] for row in listed] == asked["epoch"].tolist()
    asked = tracker.replay("own", policy="ModelCheckpoint", keep=Retention(last=1, every=3))
    listed = rows("replay", "own", "--policy", "ModelCheckpoint", "--last", "1", "--every", "3")
    assert [row["verdict"] for row in listed] == asked["verdict"].tolist()
    assert asked.query("verdict == 'saved'")["epoch"].tolist() == [2, 5]


def test_a_size_needs_files_that_were_saved() -> None:
    record("own")
    with pytest.raises(tracker.BadValue, match="own saved no file, so the size of one is unknown"):
        tracker.replay("own", policy="ModelCheckpoint", keep=Retention(size="1GB"))


def test_waste_is_summed_up_before_it_is_cut() -> None:
    for name in ("one", "two", "three"):
        record(name)
    found = rows("waste", "--by-experiment", "-n", "1")
    assert [(row["runs"], row["epochs_after"]) for row in found] == [(3, 9)]


def spend(name: str, *, after: int, seconds: float = 1.0) -> None:
    """Record a run in an experiment of its name, with so many epochs after the best one."""
    with tracker.start_run(f"of {name}", name=name) as run:
        for epoch in range(after + 1):
            run.log_epoch(epoch, {"val_loss": float(epoch)}, seconds=seconds)


def test_waste_is_ranked_before_it_is_cut() -> None:
    spend("long", after=5)
    spend("short", after=0)
    assert [row["run"] for row in rows("waste", "-n", "1")] == ["long"]
    assert [row["run"] for row in rows("waste", "-n", "1", "--sort", "started")] == ["long"]
    assert [row["run"] for row in rows("waste", "-n", "1", "--sort", "epochs_after")] == ["short"]


def test_waste_by_experiment_is_sorted_by_its_columns() -> None:
    spend("many", after=4)
    spend("slow", after=1, seconds=9.0)

    def listed(*sort: str) -> list[str]:
        return [row["experiment"] for row in rows("waste", "--by-experiment", *sort)]

    assert listed() == ["of slow", "of many"]
    assert listed("--sort", "-epochs_after") == ["of many", "of slow"]
    assert listed("--sort", "runs,experiment:desc") == ["of slow", "of many"]
    told = call("waste", "--by-experiment", "--sort", "started")
    assert told.exit_code == 2 and "There is no column 'started'" in told.stderr


def test_a_reduction_before_there_is_a_best_value_has_no_best_epoch() -> None:
    with tracker.start_run("replays", name="nan") as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"val_loss": float("nan")}, learning_rate=0.1)
    row = tracker.replay("nan", policy="ReduceLROnPlateau", patience=2).iloc[0]
    assert (row["epoch"], row["lr_before"]) == (1, 0.1) and row.isna()["best_epoch"]


def decided_by(rules: str, *kinds: str, name: str | None = None) -> None:
    """Record a run whose callbacks decided by these rules."""
    with tracker.start_run("replays", name=name or rules) as run:
        for kind in kinds:
            config = {"patience": 1, "mode": "min"}
            run.add_policy(kind, monitor="val_loss", config=config, rules=rules)
        for epoch in range(6):
            run.log_epoch(epoch, {"val_loss": float(abs(epoch - 2))}, learning_rate=0.1)


def test_a_keras_release_without_rules_is_replayed_by_the_nearest_and_that_is_said() -> None:
    decided_by("keras-3.12", "EarlyStopping", "ReduceLROnPlateau", name="old")
    decided_by("keras-3.15", "EarlyStopping", name="known")
    found = {row["run"]: row for row in rows("replay")}
    assert found["old"]["rules"] == "keras-3.15 for keras-3.12"
    assert found["known"]["rules"] == "keras-3.15"
    assert found["old"]["stop_epoch"] == found["known"]["stop_epoch"] == 3
    lowered = tracker.replay("old", policy="ReduceLROnPlateau", patience=1)
    assert (
        lowered["reason"]
        .str.endswith("by keras-3.15, as keras-3.12 has no rules of its own here")
        .all()
    )


def test_rules_that_are_asked_for_are_checked_and_taken_as_they_are() -> None:
    decided_by("keras-3.12", "EarlyStopping")
    assert tracker.replay("keras-3.12", rules="tracker-1")["rules"].tolist() == ["tracker-1"]
    with pytest.raises(tracker.BadValue, match=r"rules is 'keras-3\.12': there are"):
        tracker.replay("keras-3.12", rules="keras-3.12")
    assert call("replay", "--rules", "keras-3.12").exit_code == 2


def test_rules_that_nobody_here_knows_are_named_with_what_to_do() -> None:
    decided_by("tracker-9", "EarlyStopping")
    told = call("replay")
    assert told.exit_code == 2 and "'tracker-9', which are unknown here" in told.stderr
    assert "--rules" in told.stderr
    assert rows("replay", "--rules", "tracker-1")[0]["stop_epoch"] == 3
