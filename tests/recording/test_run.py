"""What a user holds while training: what it takes, what it refuses, what is in the database afterwards."""

from __future__ import annotations

import copy
import json
import math
import multiprocessing.reduction
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tracker
from tracker.errors import BadValue, UsageError

EPOCHS = """
    SELECT epoch.epoch, name, value, value_kind FROM metric JOIN epoch ON epoch.id = epoch_id
    ORDER BY epoch.epoch, position
"""


def test_an_epoch_is_in_the_database_when_the_call_returns(sql: Any) -> None:
    run = tracker.start_run("digits")
    run.log_epoch(0, {"loss": 0.5, "acc": 0.9})
    assert sql(EPOCHS) == [(0, "loss", 0.5, "finite"), (0, "acc", 0.9, "finite")]


def test_metrics_come_back_as_they_went_in(sql: Any) -> None:
    values = {"nan": math.nan, "up": math.inf, "down": -math.inf, "zero": -0.0, "tiny": 5e-324}
    with tracker.start_run() as run:
        run.log_epoch(0, values)
        back = run.recorded_epoch(0)
    assert back is not None
    assert {name: repr(value) for name, value in back.items()} == {
        name: repr(value) for name, value in values.items()
    }
    assert dict(sql("SELECT name, value_kind FROM metric"))["zero"] == "-0"


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
                       st.floats(allow_nan=False), max_size=8))  # fmt: skip
def test_any_name_and_any_number_come_back(metrics: dict[str, float]) -> None:
    with tracker.start_run(database="any.db") as run:
        run.log_epoch(0, metrics)
        assert run.recorded_epoch(0) == metrics


def test_of_two_metrics_whose_names_are_the_same_text_the_last_counts(cli: Any) -> None:
    with tracker.start_run() as run:
        run.log_epoch(0, {1: 0.5, "loss": 2.0, "1": 0.25})  # type: ignore[dict-item]
        assert run.recorded_epoch(0) == {"1": 0.25, "loss": 2.0}
    doctor = cli("db", "doctor")
    assert doctor.exit_code == 0, doctor.stdout


def test_names_that_a_database_cannot_hold_are_kept_readable() -> None:
    with tracker.start_run() as run:
        run.log_epoch(0, {"a\0b": 1.0, "c\ud800": 2.0, "\u202eright-to-left": 3.0})
        assert run.recorded_epoch(0) == {
            "a\\x00b": 1.0,
            "c\\ud800": 2.0,
            "\u202eright-to-left": 3.0,
        }


def test_five_thousand_metrics_are_no_problem(sql: Any) -> None:
    metrics = {f"layer/{number}": float(number) for number in range(5000)}
    with tracker.start_run() as run:
        run.log_epoch(0, metrics)
        run.log_epoch(1, metrics)
        run.log(metrics)
    assert sql("SELECT count(*) FROM metric") == [(10_000,)]
    assert sql("SELECT count(*) FROM summary") == [(5000,)]
    assert sql("SELECT count(*) FROM series") == [(5000,)]


@pytest.mark.parametrize("epoch", [0, np.int64(0), np.uint8(0), np.array(0)], ids=repr)
def test_an_epoch_is_any_whole_number(epoch: Any, sql: Any) -> None:
    with tracker.start_run() as run:
        run.log_epoch(epoch, {})
    assert sql("SELECT epoch FROM epoch") == [(0,)]


@pytest.mark.parametrize(
    "epoch",
    [-1, 1.0, "1", None, True, 2**31, np.array([1]), np.float32(1), np.bool_(True)],
    ids=repr,
)
def test_what_is_no_epoch_is_refused(epoch: Any) -> None:
    with tracker.start_run() as run, pytest.raises(BadValue, match="epoch"):
        run.log_epoch(epoch, {})


@pytest.mark.parametrize("value", ["0.3", None, [1.0], np.array([1, 2]), 1j])
def test_a_metric_that_is_no_number_is_refused_and_nothing_recorded(value: Any, sql: Any) -> None:
    with tracker.start_run() as run:
        with pytest.raises(BadValue, match="val_loss"):
            run.log_epoch(0, {"loss": 1.0, "val_loss": value})
        with pytest.raises(BadValue, match="val_loss"):
            run.log({"val_loss": value})
    assert sql("SELECT count(*) FROM epoch") == [(0,)]


def test_what_is_added_to_an_earlier_epoch_leaves_all_times_alone(sql: Any) -> None:
    times = "SELECT started, seconds FROM epoch ORDER BY epoch"
    with tracker.start_run() as run:
        run.log_epoch(0, {"loss": 1.0}, seconds=12.5)
        run.log_epoch(1, {"loss": 0.5}, seconds=12.5)
        before = sql(times)
        run.log_epoch(0, {"val_loss": 2.0})
        run.log_epoch(1, {"val_loss": 1.0})
        assert sql(times) == before
        assert sql("SELECT seconds FROM run") == [(25.0,)]
        run.log_epoch(0, {}, seconds=1.5)
        assert sql("SELECT seconds FROM run") == [(14.0,)]
        run.log_epoch(2, {})
    begun = [row[0] for row in sql(times)]
    assert begun == sorted(begun)
    assert tracker.epochs(run.id)["val_loss"].tolist()[:2] == [2.0, 1.0]


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, "long", [1, 2]], ids=repr)
def test_a_duration_that_is_none_is_refused(seconds: Any) -> None:
    with tracker.start_run() as run, pytest.raises(BadValue, match="seconds"):
        run.log_epoch(0, {}, seconds=seconds)


def test_durations_are_never_negative(sql: Any) -> None:
    with tracker.start_run() as run:
        run.log_epoch(0, {}, seconds=-3)
        run.log_epoch(1, {}, seconds=np.float32(2.5))
        run.log_epoch(2, {})
    seconds = [row[0] for row in sql("SELECT seconds FROM epoch ORDER BY epoch")]
    assert seconds[:2] == [0.0, 2.5]
    assert 0 <= seconds[2] < 60
    assert sql("SELECT seconds FROM run") == [(pytest.approx(sum(seconds)),)]


def test_a_second_call_for_an_epoch_adds_to_it(sql: Any) -> None:
    with tracker.start_run() as run:
        run.log_epoch(0, {"loss": 1.0, "acc": 0.1}, seconds=2, learning_rate=0.01)
        run.log_epoch(0, {"val_loss": 3.0, "acc": 0.2})
    assert sql(EPOCHS) == [
        (0, "loss", 1.0, "finite"), (0, "acc", 0.2, "finite"), (0, "val_loss", 3.0, "finite"),
    ]  # fmt: skip
    assert sql("SELECT seconds, learning_rate FROM epoch") == [(2.0, 0.01)]
    assert sql("SELECT epochs, seconds FROM run") == [(1, 2.0)]
    assert sql("SELECT name, last, min, max FROM summary ORDER BY name") == [
        ("acc", 0.2, 0.2, 0.2), ("loss", 1.0, 1.0, 1.0), ("val_loss", 3.0, 3.0, 3.0),
    ]  # fmt: skip


def test_summaries_know_the_best_and_never_a_nan(sql: Any) -> None:
    with tracker.start_run() as run:
        for epoch, loss in enumerate([math.nan, 2.0, 1.0, math.inf, math.nan]):
            run.log_epoch(epoch, {"loss": loss})
    columns = "last, last_kind, last_epoch, min, min_epoch, max, max_epoch"
    assert sql(f"SELECT {columns} FROM summary") == [(None, "nan", 4, 1.0, 2, math.inf, 3)]


def test_summaries_are_those_of_the_epochs_whatever_was_logged_twice(sql: Any) -> None:
    with tracker.start_run() as run:
        for epoch, loss in [(0, 0.1), (1, 5.0), (0, 3.0), (1, 4.0)]:
            run.log_epoch(epoch, {"loss": loss})
    assert sql("SELECT last, min, min_epoch, max, max_epoch FROM summary") == [
        (4.0, 3.0, 0, 4.0, 1)
    ]


def test_parameters_and_tags_are_kept_and_can_be_changed(sql: Any) -> None:
    with tracker.start_run(params={"lr": 1e-3, "layers": [1, 2]}, tags=["quick"]) as run:
        run.log_params({"lr": 2e-3, "optimizer": None, "big": 2**70})
        run.set_tags({"owner": "me", "quick": "no"})
        run.set_tags("one")
    params = sql("SELECT name, kind, text, number FROM param ORDER BY name")
    assert params == [
        ("big", "int", str(2**70), float(2**70)),
        ("layers", "json", "[1,2]", None),
        ("lr", "float", "0.002", 0.002),
        ("optimizer", "none", "", None),
    ]
    assert sql("SELECT name, value FROM tag ORDER BY name") == [
        ("one", ""), ("owner", "me"), ("quick", "no"),
    ]  # fmt: skip


def test_a_parameter_of_16_mib_is_kept_whole(sql: Any) -> None:
    with tracker.start_run(params={"prompt": "é" * 2**23}):
        pass
    assert sql("SELECT length(text) FROM param") == [(2**23,)]


def test_a_parameter_that_cannot_be_kept_stops_before_the_run(sql: Any) -> None:
    tracker.start_run().finish()
    with pytest.raises(BadValue):
        tracker.start_run(params={"huge": 10**5000})
    assert sql("SELECT count(*) FROM run") == [(1,)]


def test_what_was_captured_at_the_start_stays_when_more_is(sql: Any) -> None:
    with tracker.start_run() as run:
        run.capture(model={"max_tokens": 512, "api_key": "HUSH"})
        run.capture(device="cpu")
    captured = json.loads(sql("SELECT captured FROM attempt")[0][0])
    assert captured["model"] == {"max_tokens": 512, "api_key": "[hidden]"}
    assert captured["device"] == "cpu"
    assert captured["machine"]["cores"]


def test_steps_are_in_the_database_when_the_run_has_ended(sql: Any) -> None:
    with tracker.start_run() as run:
        for step in range(10_000):
            run.log({"loss": step / 7, "lr": 0.1}, step=step)
    assert sql("SELECT sum(calls), max(last_step) FROM clock WHERE number >= 0") == [
        (10_000, 9_999)
    ]
    assert sql("SELECT name, sum(points) FROM block JOIN series ON id = series_id GROUP BY 1") == [
        ("loss", 10_000), ("lr", 10_000),
    ]  # fmt: skip


def test_every_epoch_brings_the_steps_before_it(sql: Any) -> None:
    run = tracker.start_run()
    run.log({"loss": 1.0})
    run.log_epoch(0, {})
    assert sql("SELECT sum(calls) FROM clock WHERE number >= 0") == [(1,)]


def test_a_second_fit_in_one_run_supersedes_the_first(sql: Any) -> None:
    with tracker.start_run() as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"loss": 1.0 + epoch})
        run.rewind(1)
        run.log_epoch(1, {"loss": 0.5})
        assert run.attempt == 2
        assert run.epochs_done() == [0]
    kept = "SELECT attempt, epoch, superseded FROM epoch ORDER BY 1, 2"
    assert sql(kept) == [(1, 0, 0), (1, 1, 1), (1, 2, 1), (2, 1, 0)]
    assert sql("SELECT last, min, max FROM summary") == [(0.5, 0.5, 1.0)]
    assert sql("SELECT epochs FROM run") == [(2,)]
    assert sql("SELECT number, status FROM attempt ORDER BY 1") == [
        (1, "finished"),
        (2, "finished"),
    ]


def test_decisions_take_numbers_of_any_library(sql: Any) -> None:
    with tracker.start_run() as run:
        policy = run.add_policy(
            "EarlyStopping", monitor="val\0loss", config={"patience": np.int64(3)}
        )
        policy.decide(
            "waited", epoch=np.int64(2), reason="no better", value=np.float32(0.5), best=math.nan,
            best_epoch=np.int32(1), wait=np.int64(1), lr_before=np.float32(0.25), step=np.int64(7),
            state={"best": math.nan},
        )  # fmt: skip
    columns = "epoch, value, best, best_kind, best_epoch, wait, lr_before, step, monitor"
    assert sql(f"SELECT {columns} FROM decision") == [
        (2, 0.5, None, "nan", 1, 1, 0.25, 7, "val\\x00loss")
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "meh"},
        {"epoch": "x"},
        {"epoch": 2**40},
        {"wait": 1.5},
        {"step": 2**70},
        {"value": "x"},
    ],
)
def test_a_decision_that_cannot_be_kept_is_refused(wrong: dict[str, Any], sql: Any) -> None:
    with tracker.start_run() as run:
        policy = run.add_policy("EarlyStopping")
        with pytest.raises(BadValue, match=next(iter(wrong))):
            policy.decide(**{"verdict": "waited", "epoch": 0, "reason": "r", **wrong})
    assert sql("SELECT count(*) FROM decision") == [(0,)]


@pytest.mark.parametrize(
    "off", ["TRACKER_MODE=disabled", "RANK=1", "SLURM_PROCID=2", "PMIX_RANK=1"]
)
def test_switched_off_everything_works_and_nothing_is_kept(
    off: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    name, _, value = off.partition("=")
    monkeypatch.setenv(name, value)
    with tracker.start_run("x", params={"lr": 1}, tags=["t"], resume="auto") as run:
        assert not run.recording
        run.log({"a": 1.0})
        run.log_epoch(0, {"a": 1.0})
        run.add_policy("EarlyStopping").decide("waited", epoch=0, reason="r")
        saved = run.save_checkpoint(folder / "a.bin", lambda path: path.write_bytes(b"1"))
        run.rewind(0)
    assert saved.path.read_bytes() == b"1"
    assert [path.name for path in folder.iterdir()] == ["a.bin"]


def test_the_active_run_is_the_innermost_one() -> None:
    assert tracker.active_run() is None
    with tracker.start_run() as outer:
        with tracker.start_run(parent=outer) as inner:
            assert tracker.active_run() is inner
        assert tracker.active_run() is outer
    assert tracker.active_run() is None


@pytest.mark.parametrize("metrics", [None, [("loss", 1.0)], 0.5])
def test_metrics_of_an_epoch_without_names_are_refused(metrics: Any) -> None:
    with tracker.start_run() as run, pytest.raises(BadValue, match="pass a dict of names"):
        run.log_epoch(0, metrics)


@pytest.mark.parametrize(
    "duplicate",
    [pickle.dumps, copy.copy, copy.deepcopy, multiprocessing.reduction.ForkingPickler.dumps],
)
@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize(
    "held", [lambda run: run, lambda run: [{"run": run}], lambda run: run.finish]
)
def test_a_run_that_is_pickled_or_copied_says_what_to_do(
    duplicate: Any, recording: bool, held: Any
) -> None:
    with tracker.start_run(name="mine", recording=recording) as run:
        if duplicate is copy.copy and held(run) is not run:
            return
        with pytest.raises(UsageError, match=rf"run mine cannot.*start_run\(parent='{run.id}'\)"):
            duplicate(held(run))
        run.log_epoch(0, {"loss": 1.0})


def test_a_rare_metric_whose_name_is_not_plain_ascii_is_recorded() -> None:
    """Names that few calls have are numbered; what such a name raised there held up all that came after it."""
    names = ["größe", "准确率", "x" * 1000]
    with tracker.start_run(name="rare") as run:
        for step in range(100):
            run.log({"loss": float(step)}, step)
        run.log_epoch(0, {"loss": 0.5})
        run.log(dict.fromkeys(names, 1.0), 100)
        run.log_epoch(1, {"loss": 0.25})
    frame = tracker.metrics("rare")
    assert len(frame) == 103
    assert frame[frame["step"] == 100]["name"].tolist() == names
    assert tracker.epochs("rare")["loss"].tolist() == [0.5, 0.25]
