"""The translator that every neighbour's events go through, without a neighbour."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.conftest import Sql
from tracker_integrations.judged import Seen, record_check
from tracker_integrations.needed import needed
from tracker_integrations.recording import Recording


def status(name: str) -> str:
    frame = tracker.runs().set_index("name")
    return str(frame.loc[name, "status"])


def begun(**start: Any) -> Recording:
    recording = Recording("TrackerLogger", {"experiment": "demo", **start})
    recording.begin()
    return recording


def test_a_training_of_its_own_begins_and_ends_its_run() -> None:
    recording = begun()
    recording.log_epoch(0, {"loss": 0.5}, step=10)
    recording.log({"loss": 0.6}, 3)
    recording.end()
    assert status("demo-1") == "finished"
    assert tracker.epochs("demo-1")["loss"].tolist() == [0.5]
    assert tracker.metrics("demo-1")[["step", "value"]].to_numpy().tolist() == [[3, 0.6]]


def test_a_run_that_is_active_is_joined_and_not_ended() -> None:
    with tracker.start_run("outer", name="mine") as run:
        recording = Recording("TrackerLogger")
        recording.begin()
        recording.log_epoch(0, {"loss": 1.0})
        recording.end()
        assert recording.run is run
        assert not run.finished
    assert status("mine") == "finished"


def test_a_reason_to_stop_is_the_run_s_and_the_first_one_stays() -> None:
    recording = begun()
    recording.stop("val_loss did not improve")
    recording.stop("something later")
    recording.end()
    row = tracker.runs().iloc[0]
    assert (row["status"], row["reason"]) == ("stopped_early", "val_loss did not improve")


def test_an_error_of_the_training_is_the_run_s_end() -> None:
    recording = begun()
    recording.fail(ValueError("no such layer"))
    assert status("demo-1") == "failed"


def test_what_ended_is_followed_by_a_run_of_its_own() -> None:
    recording = begun()
    recording.end()
    recording.begin()
    recording.end()
    assert tracker.runs()["name"].tolist() == ["demo-2", "demo-1"]


def test_nothing_is_recorded_after_the_end_and_nothing_raises() -> None:
    recording = begun()
    recording.run.finish()
    recording.log({"loss": 1.0})
    recording.log_epoch(0, {"loss": 1.0})
    recording.log_params({"lr": 1})
    assert recording.saved("nowhere.ckpt") is None
    assert recording.deleted("nowhere.ckpt") == []
    recording.end()
    assert tracker.epochs("demo-1").empty


def test_what_is_no_number_is_named_once_and_the_rest_is_kept() -> None:
    recording = begun()
    with pytest.warns(UserWarning, match="image is not recorded: a metric is one number, not str"):
        recording.log({"image": "cat.png", "loss": 1.0}, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recording.log({"image": "dog.png", "loss": 2.0}, 1)
        recording.log_epoch(0, {"image": "dog.png", "loss": 2.0})
    recording.end()
    assert tracker.metrics("demo-1")["value"].tolist() == [1.0, 2.0]
    assert tracker.epochs("demo-1")["loss"].tolist() == [2.0]


def test_what_cannot_be_registered_is_a_warning_or_with_strict_an_error() -> None:
    recording = begun()
    with pytest.warns(UserWarning, match=r"nowhere\.ckpt"):
        assert recording.saved("nowhere.ckpt", epoch=0) is None
    recording.end()
    strict = begun(strict=True)
    with pytest.raises(tracker.CheckpointError, match=r"nowhere\.ckpt"):
        strict.saved("nowhere.ckpt", epoch=0)


def test_params_that_are_objects_are_kept_as_text() -> None:
    recording = begun()
    recording.log_params(
        {"lr": 0.1, "net": {"act": math.exp, "sizes": (2, 3)}, "path": Path("a/b")}
    )
    recording.end()
    row = tracker.runs().iloc[0]
    assert row["params.lr"] == 0.1
    assert row["params.net.act"] == "exp"
    assert row["params.path"] == "a/b"


def test_a_run_that_a_checkpoint_names_is_continued() -> None:
    first = begun()
    first.log_epoch(0, {"loss": 3.0})
    first.log_epoch(1, {"loss": 2.0})
    first.end("interrupted")
    again = Recording("TrackerLogger", {"experiment": "demo"})
    assert again.begin(first.run.id).attempt == 2
    again.starts_at(1)
    again.log_epoch(1, {"loss": 1.0})
    again.end()
    assert tracker.epochs("demo-1")["loss"].tolist() == [3.0, 1.0]
    assert len(tracker.runs()) == 1


def test_a_run_that_nobody_knows_is_a_warning_and_a_new_one_begins() -> None:
    recording = Recording("TrackerLogger", {"experiment": "demo"})
    with pytest.warns(UserWarning, match="The run 0123456789ab is not continued"):
        recording.begin("0123456789ab")
    assert recording.run.name == "demo-1"
    assert recording.run.attempt == 1


def test_a_training_that_was_dropped_is_closed_by_the_next() -> None:
    driven = [True]
    left = Recording("TrackerLogger", {"experiment": "demo"}, is_driven=lambda: driven[0])
    left.begin()
    driven[0] = False
    begun()
    assert status("demo-1") == "interrupted"


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_records_into_a_run_of_its_own(duplicate: Any) -> None:
    recording = begun()
    other = duplicate(recording)
    other.begin()
    assert other.run.id != recording.run.id


def test_a_file_that_the_neighbour_deleted_is_pruned_and_not_missing(sql: Sql) -> None:
    recording = begun()
    path = Path("ck/1.ckpt")
    path.parent.mkdir()
    path.write_bytes(b"weights")
    recording.saved(path, epoch=0)
    assert recording.deleted(path) == [], "it is still there"
    path.unlink()
    (gone,) = recording.deleted(path)
    assert gone.path == path.absolute()
    assert recording.run.checkpoints() == []
    assert sql("SELECT state, pending FROM checkpoint") == [("pruned", 0)]


def test_a_check_is_told_from_what_is_remembered_before_and_after() -> None:
    recording = begun()
    policy = recording.policy("a", "EarlyStopping", monitor="val_loss", config={"patience": 2})
    assert recording.policy("a", "EarlyStopping", monitor="val_loss") is policy
    states = [Seen(), Seen(2.0, 0, 0), Seen(1.0, 1, 0), Seen(1.0, 1, 1), Seen(1.0, 1, 2)]
    for epoch, value in enumerate([2.0, 1.0, 1.5, 1.25]):
        record_check(
            recording, policy, states[epoch], states[epoch + 1],
            epoch=epoch, value=value, patience=2, stopped=epoch == 3,
        )  # fmt: skip
    recording.end()
    told = tracker.decisions("demo-1")
    assert told["verdict"].tolist() == ["improved", "improved", "waited", "stopped"]
    assert told["reason"].tolist() == [
        "val_loss 2.000 is the first value",
        "val_loss 1.000 beat 2.000 (epoch 0)",
        "val_loss 1.500 did not beat 1.000 (epoch 1); 1 of 2 waits",
        "val_loss 1.250 did not beat 1.000 (epoch 1); 2 of 2 waits",
    ]
    assert tracker.runs().iloc[0]["status"] == "stopped_early"


@pytest.mark.parametrize(("mode", "sign"), [("min", 1), ("max", -1)])
def test_what_a_neighbour_does_not_remember_is_told_from_the_values(mode: str, sign: int) -> None:
    seen, told = Seen(), []
    for epoch, value in enumerate([math.nan, 2.0, 2.0, math.nan, 1.0]):
        seen = seen.after(epoch, sign * value, mode)
        told.append((seen.best, seen.best_epoch, seen.wait))
    two, one = sign * 2.0, sign * 1.0
    assert told == [(None, None, 1), (two, 1, 0), (two, 1, 1), (two, 1, 2), (one, 4, 0)]


def test_a_neighbour_that_is_missing_is_said_with_the_command() -> None:
    with (
        pytest.raises(ImportError, match=r"pip install 'local-tracker\[lightning\]'"),
        needed("no_such_package", "lightning"),
    ):
        import no_such_package  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match="inner"), needed("outer", "lightning"):
        raise ModuleNotFoundError("No module named 'inner'", name="inner")
