"""Files that appear whole or not at all, and what becomes of those that are there."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import shutil
from pathlib import Path

import keras
import pytest

import tracker
from tracker_keras import (
    CSVLogger,
    ModelCheckpoint,
    TrackerCallback,
)
from tracker_keras.session.room import weights_size


class Feed(keras.callbacks.Callback):
    """Puts chosen values into the logs, before anybody judges them."""

    def __init__(self, **series):
        super().__init__()
        self.series = series

    def on_epoch_end(self, epoch, logs=None):
        logs.update(
            {name: values[epoch] for name, values in self.series.items() if epoch in values}
        )


def numbered(*values):
    return dict(enumerate(values))


def test_a_checkpoint_is_registered_with_its_hash(fit, model, record):
    """Path, size, SHA-256, epoch, metrics and the value it is judged by."""
    fit(model, [ModelCheckpoint("m/{epoch:02d}.keras")], epochs=1)
    (row,) = record.checkpoints()
    file = Path("m/01.keras").read_bytes()
    assert row["sha256"] == hashlib.sha256(file).hexdigest() and row["bytes"] == len(file)
    assert (row["path"], row["epoch"], row["monitor"]) == ("m/01.keras", 0, "val_loss")
    assert row["value"] == json.loads(row["metrics"])["val_loss"]


def test_a_checkpoint_loads(fit, model, same_weights):
    """With Keras' safe mode, and it is the model of that epoch."""
    fit(model, [ModelCheckpoint("m.keras")], epochs=1)
    assert same_weights(keras.saving.load_model("m.keras"), model)


def test_a_save_that_fails_leaves_the_file_before(fit, model, record, monkeypatch):
    """As with Keras the error comes out; but the old file is whole, and no other is left behind."""
    fit(model, [ModelCheckpoint("m.weights.h5", save_weights_only=True)], epochs=1)
    before = Path("m.weights.h5").read_bytes()

    def full(path, **options):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(model, "save_weights", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        fit(model, [ModelCheckpoint("m.weights.h5", save_weights_only=True)], epochs=1)
    assert Path("m.weights.h5").read_bytes() == before
    assert [path.name for path in Path().iterdir()] != [] and not list(Path().glob(".tracker-*"))
    assert record.runs()[1]["status"] == "failed" and record.runs()[1]["epochs"] == 1


@pytest.mark.parametrize("name", ["m.weights.h5", "m.keras"])
def test_where_a_file_cannot_fit_none_is_begun(fit, model, record, monkeypatch, name):
    """HDF5 may crash the process on a disk that fills up while it writes: nothing would be left to record that."""
    size, free = weights_size(model), shutil.disk_usage(".")
    assert size == sum(weight.nbytes for weight in model.get_weights())

    def fit_with(room):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: free._replace(free=room))
        fit(model, [ModelCheckpoint(name, save_weights_only=name != "m.keras")], epochs=1)

    with pytest.raises(OSError, match="No space left") as raised:
        fit_with(size)
    assert raised.value.errno == errno.ENOSPC
    assert not Path(name).exists() and not list(Path().glob(".tracker-*"))
    assert (record.runs()[0]["status"], record.runs()[0]["epochs"]) == ("failed", 1)
    fit_with(size + (1 << 20))
    assert Path(name).exists()


def test_the_best_k_stay(fit, model, record):
    """The last stays too; what goes is a decision with its reason."""
    checkpoint = ModelCheckpoint("{epoch}.keras", "score", mode="max", keep=2)
    fit(model, [Feed(score=numbered(0.5, 0.9, 0.7, 0.1)), checkpoint], epochs=4)
    assert sorted(path.name for path in Path().glob("*.keras")) == ["2.keras", "3.keras", "4.keras"]
    pruned = [row for row in record.decisions() if row["verdict"] == "pruned"]
    assert [row["path"] for row in pruned] == ["1.keras"]
    assert pruned[0]["reason"] == "score 0.5000 is not among the 2 best, down to 0.7000 (epoch 2)"
    assert [row["state"] for row in record.checkpoints()] == ["pruned"] + ["available"] * 3


def test_files_that_others_made_stay(fit, model):
    """Only what this callback saved is ever deleted."""
    Path("0.keras").write_text("mine")
    fit(model, [ModelCheckpoint("{epoch}.keras", "loss", keep=1)], epochs=3)
    assert Path("0.keras").read_text() == "mine"


@pytest.mark.parametrize("keep", [-1, 1.5, "3"])
def test_keep_is_checked(keep):
    """At once, with the value."""
    with pytest.raises(tracker.BadValue, match="keep"):
        ModelCheckpoint("m.keras", keep=keep)


def test_a_better_file_of_an_earlier_attempt_is_not_written_over(fit, build, record, same_weights):
    """A run that goes on from an earlier epoch saves over it only what is better."""

    def attempt(model, resume, **options):
        best = ModelCheckpoint("best.weights.h5", "score", 0, True, True, "min")
        scores = Feed(score=numbered(*options.pop("scores")))
        fit(model, [scores, TrackerCallback(name="r", resume=resume), best], **options)
        return Path("best.weights.h5").read_bytes()

    first = attempt(build(), None, scores=[0.9, 0.8, 0.2], epochs=3)
    second = attempt(build(), "r", scores=[0.9, 0.8, 0.7, 0.6], epochs=4, initial_epoch=2)
    assert second == first
    assert (
        "does not replace the file of epoch 2" in record.decisions("ModelCheckpoint")[-1]["reason"]
    )
    third = attempt(build(), "r", scores=[0.9, 0.8, 0.7, 0.6, 0.1], epochs=5)
    assert third != first


def rows(name="log.csv", **options):
    with Path(name).open(newline="") as file:
        return list(csv.reader(file, **options))


def test_a_late_metric_becomes_a_column(fit, model):
    """With NA in the rows before; Keras drops it."""
    fit(model, [Feed(late={1: 0.5, 2: 0.25}), CSVLogger("log.csv")])
    header, *body = rows()
    assert header[-1] == "late" and [row[-1] for row in body] == ["NA", "0.5", "0.25"]
    assert len({len(row) for row in body}) == 1


def test_appended_values_stand_under_their_columns(fit, build):
    """Keras would write them in its own order."""
    Path("log.csv").write_text("epoch,val_loss,loss\r\n0,9.0,8.0\r\n")
    history = fit(build(), [CSVLogger("log.csv", append=True)], epochs=1).history
    header, old, new = rows()
    assert header == ["epoch", "val_loss", "loss", "accuracy", "val_accuracy"]
    assert old == ["0", "9.0", "8.0", "NA", "NA"]
    assert new[1:3] == [str(history["val_loss"][0]), str(history["loss"][0])]


def test_another_file_is_not_appended_to(fit, model):
    """It says what the file begins with, and what to do; the file stays as it was."""
    Path("log.csv").write_text("epoch;loss\r\n0;1.0\r\n")
    with pytest.raises(tracker.UsageError, match=r"separator ','.*begins with 'epoch;loss'"):
        fit(model, [CSVLogger("log.csv", append=True)])
    assert Path("log.csv").read_text() == "epoch;loss\n0;1.0\n"


def test_a_second_fit_begins_the_file_anew(fit, build):
    """Also after a late column, header and all."""
    logger = CSVLogger("log.csv")
    fit(build(), [Feed(late={1: 0.5}), logger], epochs=2)
    fit(build(), [logger], epochs=1)
    assert rows()[0] == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert len(rows()) == 2


@pytest.mark.parametrize("first", [0, 1])
def test_a_tensor_of_one_number_is_a_number_in_the_csv(first, fit, model):
    """Keras raises TypeError, or drops the column where it comes later."""
    tensors = {epoch: keras.ops.convert_to_tensor(0.5) for epoch in range(first, 3)}
    fit(model, [Feed(score=tensors), CSVLogger("log.csv")])
    with Path("log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["score"] for row in rows] == ["NA"] * first + ["0.5"] * (3 - first)
