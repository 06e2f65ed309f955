"""A resumed run goes on as if nothing had happened."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import tracker
import tracker_keras
from tests.helpers import ROOT
from tracker_keras import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TrackerCallback,
)

ADAPTERS = Path(tracker_keras.__file__).parents[1]
SCORES = [0.9, 0.5, 0.6, 0.7, 0.8, 0.4, 0.3]


class Feed(keras.callbacks.Callback):
    """The same metric in every attempt; breaks off where it is told to."""

    def __init__(self, fails_at=None, values=SCORES):
        super().__init__()
        self.fails_at, self.values = fails_at, values

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.fails_at:
            raise RuntimeError("killed")

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = self.values[epoch]


@pytest.fixture
def attempt(fit):
    """Train in the run "r", until it breaks off at an epoch or ends."""

    def run(model, callbacks, fails_at=None, **options):
        given = {"epochs": len(SCORES), **options}
        tracking = TrackerCallback(name="r", resume=given.pop("resume", "auto"))
        listed = [Feed(fails_at), tracking, *callbacks]
        if fails_at is None:
            return fit(model, listed, **given)
        with pytest.raises(RuntimeError, match="killed"):
            fit(model, listed, **given)
        return None

    return run


def test_killed_at_random_moments(tmp_path):
    """Whole and killed trainings end alike: epochs, decisions, files, CSV, weights, to the last bit."""
    command = [
        sys.executable,
        str(ROOT / "tests" / "helpers" / "keras_killed.py"),
        str(tmp_path),
        "2",
    ]
    paths = os.pathsep.join([str(ADAPTERS), str(ADAPTERS.parent)])
    env = {**os.environ, "PYTHONPATH": paths, "KERAS_BACKEND": keras.backend.backend()}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [one["differs"] for one in found] == [{}]
    assert sum(one["kills"] for one in found) > 0


def test_it_goes_on_at_the_next_epoch(attempt, model, record):
    """Without a backup: at the epoch after the last one recorded, and nothing is doubled."""
    attempt(model, [], fails_at=3)
    history = attempt(model, [])
    assert history.epoch == [3, 4, 5, 6] and model._initial_epoch is None
    assert [(one["attempt"], one["epoch"]) for one in record.epochs()] == [
        (1, 0), (1, 1), (1, 2), (2, 3), (2, 4), (2, 5), (2, 6),
    ]  # fmt: skip


def test_it_goes_on_where_the_backup_is(attempt, build, record):
    """The backup is older than the record: what comes after it is repeated, and superseded."""
    attempt(build(), [BackupAndRestore("b")], fails_at=2)
    attempt(build(), [], fails_at=4)
    assert attempt(build(), [BackupAndRestore("b")]).epoch[0] == 2
    assert [one["epoch"] for one in record.epochs()] == list(range(7))


def test_it_starts_afresh_where_there_is_no_backup(attempt, build, record):
    """Killed before the first backup: the weights are new, so the epochs are too."""
    attempt(build(), [], fails_at=1)
    assert attempt(build(), [BackupAndRestore("b")]).epoch[0] == 0
    assert {one["attempt"] for one in record.epochs()} == {2}


def test_an_initial_epoch_that_is_given_comes_first(attempt, model, record):
    """Resume from an earlier epoch: one curve, nothing twice, nothing deleted."""
    attempt(model, [], fails_at=4)
    assert attempt(model, [], initial_epoch=2).epoch[0] == 2
    assert [one["epoch"] for one in record.epochs()] == list(range(7))
    assert record.ask("SELECT count(*) AS n FROM epoch WHERE superseded") == [{"n": 2}]


def test_weights_that_are_new_are_warned_of(attempt, build):
    """The record goes on, the model does not: say so."""
    attempt(build(), [], fails_at=2)
    with pytest.warns(
        UserWarning, match=r"Run r continues at epoch 2.*taken no step.*BackupAndRestore"
    ):
        attempt(build(), [])


@pytest.mark.parametrize(
    "brought_back", ["the same model", "a whole file", "the optimizer's steps"]
)
def test_weights_that_were_brought_back_are_not_warned_of(brought_back, attempt, build):
    """By hand, whichever way."""
    model = build()
    attempt(model, [ModelCheckpoint("m.keras")], fails_at=2)
    if brought_back == "a whole file":
        model = keras.saving.load_model("m.keras")
    elif brought_back == "the optimizer's steps":
        model, trained = build(), model
        model.set_weights(trained.get_weights())
        model.optimizer.iterations.assign(trained.optimizer.iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        attempt(model, [])


def test_there_is_nothing_to_resume(attempt, model):
    """A name that is none is an error before the first epoch."""
    with pytest.raises(tracker.NothingToResume, match="'r'"):
        attempt(model, [], resume="r")


@pytest.mark.parametrize("fails_at", range(1, 5))
def test_early_stopping_goes_on_counting(fails_at, attempt, model, record):
    """Stops where an uninterrupted run would have."""

    def stopping():
        return [EarlyStopping("score", mode="min", patience=3)]

    attempt(model, stopping(), fails_at=fails_at)
    attempt(model, stopping())
    assert record.verdicts() == ["improved", "improved", "waited", "waited", "stopped"]
    assert record.decisions()[-1]["best_epoch"] == 1


def test_a_raised_patience_takes_effect(attempt, model, record):
    """Changed arguments win over saved ones."""
    attempt(model, [EarlyStopping("score", mode="min", patience=3)], fails_at=4)
    attempt(model, [EarlyStopping("score", mode="min", patience=4)])
    assert record.verdicts()[-3:] == ["waited", "improved", "improved"]


def test_a_run_that_had_stopped_stays_so(attempt, model, record):
    """Not even one more batch; unless the patience is raised."""
    attempt(model, [EarlyStopping("score", mode="min", patience=2)])
    before = model.get_weights()
    again = EarlyStopping("score", mode="min", patience=2)
    attempt(model, [again], resume="r")
    assert all(map(np.array_equal, before, model.get_weights()))
    assert (again.stopped_epoch, record.run()["status"]) == (3, "stopped_early")
    assert (
        attempt(model, [EarlyStopping("score", mode="min", patience=9)], resume="r").epoch[0] == 4
    )


def test_plateau_goes_on(attempt, build, record):
    """Counts, cooldown and learning rate, though the optimizer is new."""

    def plateau():
        return [ReduceLROnPlateau("score", 0.5, 2, mode="min", cooldown=1)]

    attempt(build(), plateau(), fails_at=4)
    with pytest.warns(UserWarning, match="taken no step"):
        attempt(build(), plateau())
    rates = [round(one["learning_rate"], 6) for one in record.epochs()]
    assert rates == [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05]


def test_schedule_goes_on(attempt, build, record):
    """A function of the last rate is handed the last rate."""
    attempt(build(), [LearningRateScheduler(lambda epoch, lr: lr / 2)], fails_at=2)
    with pytest.warns(UserWarning, match="taken no step"):
        attempt(build(), [LearningRateScheduler(lambda epoch, lr: lr / 2)], epochs=4)
    rates = [one["learning_rate"] for one in record.epochs()]
    assert rates == pytest.approx([0.05, 0.025, 0.0125, 0.00625])


def test_the_best_checkpoint_stays_the_best(attempt, model, record):
    """Keras would start from None and write over it."""

    def best():
        return [ModelCheckpoint("best.weights.h5", "score", 0, True, True, "min")]

    attempt(model, best(), fails_at=3)
    attempt(model, best(), epochs=5)
    assert record.verdicts() == ["saved", "saved", "skipped", "skipped", "skipped"]


def test_a_save_by_batches_goes_on_counting(attempt, model):
    """Every seventh of all batches, whatever epoch was resumed at."""

    def saves():
        return [ModelCheckpoint("{epoch}-{batch}.weights.h5", "loss", 0, False, True, save_freq=7)]

    attempt(model, saves(), fails_at=3)
    attempt(model, saves())
    found = sorted(path.name.partition(".")[0] for path in Path().glob("*.weights.h5"))
    assert found == ["3-1", "5-2", "7-3"]


@pytest.mark.parametrize("breaks", [(1, 2), (1, 5)])
def test_a_save_by_batches_counts_batches_of_attempts_that_saved_nothing(breaks, attempt, model):
    """Every fourth batch of the run, three an epoch; the first attempt ended before the fourth."""

    def saves():
        return [ModelCheckpoint("{epoch}-{batch}.weights.h5", "loss", 0, False, True, save_freq=4)]

    for fails_at in breaks:
        attempt(model, saves(), fails_at=fails_at)
    attempt(model, saves())
    found = sorted(path.name.partition(".")[0] for path in Path().glob("*.weights.h5"))
    assert found == ["2-1", "3-2", "4-3", "6-1", "7-2"]


def test_the_files_that_are_kept_are_those_of_all_attempts(attempt, model):
    """The best two, wherever the break was."""

    def keeping():
        return [ModelCheckpoint("{epoch}.weights.h5", "score", 0, False, True, "min", keep=2)]

    attempt(model, keeping(), fails_at=3)
    attempt(model, keeping(), epochs=5)
    assert sorted(path.name[0] for path in Path().glob("*.h5")) == ["2", "3", "5"]


def test_the_best_weights_come_from_a_checkpoint(attempt, build, same_weights):
    """Where no backup has them, a checkpoint of that epoch does, and the optimizer stays as it is."""
    first, second, best = build(), build(), build()

    def callbacks():
        saving = ModelCheckpoint("{epoch}.weights.h5", save_weights_only=True)
        return [saving, EarlyStopping("score", mode="min", patience=3, restore_best_weights=True)]

    attempt(first, callbacks(), fails_at=4)
    second.optimizer.build(second.trainable_variables)
    second.load_weights("4.weights.h5")
    attempt(second, callbacks())
    best.load_weights("2.weights.h5")
    assert same_weights(second, best)


def test_best_weights_that_are_gone_are_warned_of(attempt, model):
    """It says which epoch's, and what keeps copies."""
    stopping = EarlyStopping("score", mode="min", patience=9, restore_best_weights=True)
    attempt(model, [stopping], fails_at=4)
    with pytest.warns(UserWarning, match=r"weights of epoch 1, the best so far.*ModelCheckpoint"):
        attempt(model, [EarlyStopping("score", mode="min", patience=9, restore_best_weights=True)])


@pytest.mark.parametrize("damage", ["none", "torn row", "lost row", "lost file"])
def test_a_csv_file_goes_on_without_a_seam(damage, attempt, model):
    """One header, each epoch once, equal to what was recorded, whatever the kill left of it."""
    attempt(model, [CSVLogger("log.csv")], fails_at=4)
    path = Path("log.csv")
    text = path.read_bytes()
    cut = {"torn row": text[:-9], "lost row": text[: text[:-2].rfind(b"\n") + 1]}
    path.write_bytes(cut.get(damage, text))
    if damage == "lost file":
        path.unlink()
    attempt(model, [CSVLogger("log.csv")], initial_epoch=3)
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["epoch"] for row in found] == [str(epoch) for epoch in range(7)]
    recorded = tracker.history("r")
    for row, epoch in zip(found, recorded, strict=True):
        assert {key: row[key] for key in row if key != "epoch"} == {
            name: str(value) for name, value in epoch["metrics"].items()
        }


def test_rows_of_others_stay_in_an_appended_file(attempt, model):
    """Only the rows of this run are repeated."""
    header = "epoch,accuracy,loss,score,val_accuracy,val_loss\r\n"
    Path("log.csv").write_text(
        header + "0,1.0,1.0,1.0,1.0,1.0\r\n5,2.0,2.0,2.0,2.0,2.0\r\n", newline=""
    )
    attempt(model, [CSVLogger("log.csv", append=True)], fails_at=3)
    attempt(model, [CSVLogger("log.csv", append=True)], initial_epoch=2)
    epochs = [line.split(",")[0] for line in Path("log.csv").read_text().splitlines()]
    assert epochs == ["epoch", "0", "5", "0", "1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("kind", [np.float32, np.float16, lambda rate: 24, lambda rate: rate > 0])
def test_own_rows_of_an_appended_file_are_written_once(kind, attempt, build):
    """Whatever type the metrics are of that people put into the logs."""

    class Rate(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["lr"] = kind(0.01)

    for fails_at in (2, None):
        callbacks = [Rate(), CSVLogger("log.csv", append=True), BackupAndRestore("b")]
        attempt(build(), callbacks, fails_at=fails_at, epochs=4)
    epochs = [line.split(",")[0] for line in Path("log.csv").read_text().splitlines()]
    assert epochs == ["epoch", "0", "1", "2", "3"]


@pytest.mark.parametrize("swap", [False, True])
def test_the_last_of_two_that_set_the_rate_counts(swap, attempt, build, record):
    """A plateau's reduction is not undone by a schedule's earlier word, whatever stands first."""

    def callbacks():
        found = [
            LearningRateScheduler(lambda epoch, lr: lr * 0.9),
            ReduceLROnPlateau("score", 0.5, 1, mode="min"),
        ]
        return found[::-1] if swap else found

    attempt(build(), callbacks(), fails_at=3)
    with pytest.warns(UserWarning, match="taken no step"):
        attempt(build(), callbacks(), epochs=4)
    rates = [one["learning_rate"] for one in record.epochs()]
    assert rates == pytest.approx([0.09, 0.081, 0.0729, 0.0729 * 0.45])
