"""What another patience would have done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tracker
from tests.helpers.cli import runner
from tracker.cli import program
from tracker.policies import EarlyStopping
from tracker.replays.early_stopping import Outcome
from tracker.replays.tradeoff import tradeoff

CURVE = [1.0, 0.8, 0.9, 0.85, 0.7, 0.75, 0.74, 0.73, 0.72, 0.71]


def record(name: str, values: list[float], **settings: object) -> None:
    """Record a run, with the decisions of an EarlyStopping where settings are given."""
    rule = EarlyStopping(monitor="val_loss", **settings) if settings else None  # type: ignore[arg-type]
    with tracker.start_run("replays", name=name) as run:
        if rule is not None:
            policy = run.add_policy(
                "EarlyStopping", monitor="val_loss", config=rule.as_dict(), rules=rule.rules
            )
            state = rule.initial()
        for epoch, value in enumerate(values):
            run.log_epoch(epoch, {"val_loss": value}, seconds=2.0)
            if rule is not None:
                state, verdict = rule.step(state, epoch, value)
                policy.decide(verdict.verdict, **verdict.as_decision(), state=state.as_dict())
                if verdict.stop:
                    run.note_stop(verdict.reason)
                    break


def ask(*arguments: str) -> str:
    """Return what a command prints."""
    result = runner().invoke(program, ["decisions", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_shorter_patience_stops_earlier_and_gives_up_value() -> None:
    record("long", CURVE)
    row = tracker.replay("long", patience=2, min_delta=0.0).iloc[0]
    assert (row["stop_epoch"], row["best_epoch"], row["best"]) == (3, 1, 0.8)
    assert (row["epochs_saved"], row["seconds_saved"]) == (6, 12.0)
    assert row["given_up"] == pytest.approx(0.1)


def test_a_longer_patience_than_the_run_has_epochs_stops_nowhere() -> None:
    record("long", CURVE)
    row = tracker.replay("long", patience=50).iloc[0]
    assert row["stop_epoch"] is tracker_na() and row["epochs_saved"] == 0 and row["given_up"] == 0


def tracker_na() -> object:
    """Return what a frame of whole numbers holds for none."""
    import pandas as pd

    return pd.NA


@pytest.mark.parametrize("rules", ["tracker-1", "keras-3.15"])
@pytest.mark.parametrize("patience", [1, 2, 4])
def test_a_runs_own_settings_give_its_own_decisions(patience: int, rules: str) -> None:
    record("own", CURVE, patience=patience, rules=rules)
    row = tracker.replay("own").iloc[0]
    told = tracker.decisions("own")
    stopped = told.loc[told["verdict"] == "stopped", "epoch"].tolist()
    assert ([] if row["stop_epoch"] is tracker_na() else [row["stop_epoch"]]) == stopped
    assert row["best_epoch"] == told["best_epoch"].iloc[-1]


def test_nan_counts_toward_patience_and_is_never_best() -> None:
    record("broken", [1.0, float("nan"), float("nan"), 0.5])
    row = tracker.replay("broken", patience=2).iloc[0]
    assert (row["stop_epoch"], row["best_epoch"], row["best"]) == (2, 0, 1.0)


def test_an_unknown_metric_names_those_there_are() -> None:
    record("long", CURVE)
    with pytest.raises(tracker.UnknownMetric, match="val_loss"):
        tracker.replay("long", monitor="val_los")


def test_runs_are_chosen_by_a_filter() -> None:
    record("one", CURVE)
    record("two", CURVE)
    assert tracker.replay(where="name = 'two'", patience=2)["run"].tolist() == ["two"]
    assert len(tracker.replay(patience=[1, 2, 3])) == 6


def test_the_command_takes_a_range_and_says_that_a_replay_only_shortens() -> None:
    record("long", CURVE)
    rows = json.loads(ask("replay", "long", "--patience", "1..5", "--format", "json"))
    assert [row["patience"] for row in rows] == [1, 2, 3, 4, 5]
    told = runner().invoke(program, ["decisions", "replay", "long", "--patience", "9"])
    assert "would not have stopped within what was recorded" in told.stderr


def test_a_patience_that_is_no_number_is_a_wrong_call() -> None:
    told = runner().invoke(program, ["decisions", "replay", "--patience", "many"])
    assert told.exit_code == 2 and "1..20" in told.stderr


def test_the_curve_is_drawn(folder: Path) -> None:
    for number in range(3):
        record(f"run-{number}", [value + number / 10 for value in CURVE])
    ask("replay", "--patience", "1..6", "--curve", "--png", "curve.png")
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_model_checkpoint_replayed_says_which_files_stay() -> None:
    record("long", CURVE)
    rows = json.loads(
        ask("replay", "long", "--policy", "ModelCheckpoint", "--keep", "2", "--format", "json")
    )
    assert [row["epoch"] for row in rows if row["verdict"] == "saved"] == [4, 9]
    only = json.loads(ask("replay", "long", "--policy", "ModelCheckpoint", "--format", "json"))
    assert [row["epoch"] for row in only if row["verdict"] == "saved"] == [4]


def test_reduce_lr_on_plateau_replayed_says_where() -> None:
    record("long", CURVE)
    call = (
        "replay",
        "long",
        "--policy",
        "ReduceLROnPlateau",
        "--patience",
        "2",
        "--format",
        "json",
    )
    rows = json.loads(ask(*call))
    assert [row["epoch"] for row in rows] == [3, 6, 8]
    assert rows[1]["factor"] == pytest.approx(0.01)


def test_waste_is_what_came_after_the_best_epoch() -> None:
    record("long", CURVE)
    row = json.loads(ask("waste", "--format", "json"))[0]
    assert (row["best_epoch"], row["epochs_after"], row["seconds_after"], row["share"]) == (
        4,
        5,
        10.0,
        0.5,
    )
    assert json.loads(ask("waste", "--by-experiment", "--format", "json"))[0]["epochs_after"] == 5


def outcome(patience: int, saved: int, given_up: float) -> Outcome:
    """Return an outcome of a run of 10 epochs."""
    return Outcome(
        run="a", monitor="loss", patience=patience, min_delta=0.0, rules="tracker-1", stop_epoch=9 - saved,
        best_epoch=0, best=given_up, epochs=10 - saved, epochs_saved=saved, seconds_saved=float(saved),
        own_best_epoch=9, own_best=0.0, given_up=given_up,
    )  # fmt: skip


def test_the_knee_saves_much_and_gives_up_little() -> None:
    points = tradeoff(
        [outcome(1, 9, 1.0), outcome(2, 7, 0.1), outcome(3, 2, 0.05), outcome(4, 0, 0.0)]
    )
    assert [point.patience for point in points if point.knee] == [2]
    assert points[1].saved == 0.7


def test_a_curve_without_a_bend_has_no_knee() -> None:
    assert not any(
        point.knee
        for point in tradeoff([outcome(1, 5, 0.0), outcome(2, 3, 0.0), outcome(3, 0, 0.0)])
    )
