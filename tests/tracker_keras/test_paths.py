"""Paths that are no plain files, and models that save in a way of their own: as with Keras."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from stat import S_IMODE

import keras
import pytest

import tracker
from tracker_keras import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    ModelCheckpoint,
    TrackerCallback,
)


def late(epoch, logs):
    if epoch == 1:
        logs["late"] = 1.0


LATE = keras.callbacks.LambdaCallback(on_epoch_end=late)


def test_a_link_to_a_log_stays_one(fit, model):
    """Its target gets the late column and every row."""
    Path("real").mkdir()
    Path("log.csv").symlink_to("real/log.csv")
    fit(model, [LATE, CSVLogger("log.csv")])
    assert Path("log.csv").is_symlink()
    assert len(Path("real/log.csv").read_text().splitlines()) == 4


def test_a_log_to_a_pipe_is_not_replaced_by_a_file(fit, model):
    """A late metric is dropped there, as Keras drops it."""
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    fit(model, [LATE, CSVLogger("pipe")])
    assert Path("pipe").is_fifo() and b"late" not in os.read(reader, 10000)
    os.close(reader)


def test_no_checkpoint_takes_the_place_of_a_device_or_a_pipe(folder):
    """The save is refused, and says what is there."""
    os.mkfifo("pipe")
    with pytest.raises(tracker.CheckpointError, match="a device, a pipe or a socket"):
        tracker.save_file("pipe", lambda path: path.touch())
    assert Path("pipe").is_fifo()


def test_a_link_to_a_checkpoint_stays_one(fit, model, record):
    """The file it points to is the one that is saved and known."""
    Path("real").mkdir()
    Path("real/t.keras").touch(mode=0o640)
    Path("m.keras").symlink_to("real/t.keras")
    fit(model, [ModelCheckpoint("m.keras")])
    assert Path("m.keras").is_symlink() and keras.saving.load_model("m.keras")
    assert S_IMODE(Path("real/t.keras").stat().st_mode) == 0o640
    assert record.ask("SELECT DISTINCT path FROM checkpoint") == [{"path": "real/t.keras"}]


@keras.saving.register_keras_serializable()
class WithNotes(keras.Sequential):
    """Writes a second file, named after the first, as people do."""

    def save(self, filepath, **kwargs):
        super().save(filepath, **kwargs)
        Path(filepath + ".txt").write_text("notes")


def test_a_model_that_saves_in_its_own_way_gets_the_path_that_was_asked_for(fit, record):
    """What it leaves there is known to the run."""
    model = WithNotes([keras.Input((64,)), keras.layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    fit(model, [ModelCheckpoint("m.keras")])
    assert Path("m.keras.txt").read_text() == "notes"
    there = record.ask("SELECT path, epoch FROM checkpoint WHERE state = 'available'")
    assert there == [{"path": "m.keras", "epoch": 2}]


def test_a_linked_backup_folder_goes_with_its_training(fit, model):
    """And leaves no dangling link."""
    Path("real").mkdir()
    Path("b").symlink_to("real")
    fit(model, [BackupAndRestore("b")])
    assert not Path("b").is_symlink() and not list(Path().glob(".b.*"))


def test_warnings_as_errors_end_no_training(fit, model):
    """We bring no warning of our own into a training that goes well."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = fit(model, [TrackerCallback(), EarlyStopping("loss", patience=3)])
    assert len(history.epoch) == 3
