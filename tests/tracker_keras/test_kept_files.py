"""Which files stay is decided by those of the run, and a file that somebody took away was not pruned."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import pytest

import tracker
from tracker_keras import ModelCheckpoint


class Scores(keras.callbacks.Callback):
    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = self.scores[epoch]


def saver(**given):
    return ModelCheckpoint(
        "{epoch:02d}.weights.h5", "score", 0, save_weights_only=True, mode="min", **given
    )


@pytest.mark.parametrize("keep", [1, 2])
def test_a_second_run_keeps_files_of_its_own(keep, fit, build, record):
    """The first run's files count there, and stay where no file of the same name took their place."""
    saving = saver(keep=keep)
    fit(build(), [Scores([6, 5, 4, 3, 2, 1]), saving], epochs=6)
    fit(build(), [Scores([7, 6.5]), saving], epochs=2)
    second = record.runs()[1]["id"]
    own = [one for one in record.checkpoints() if one["run_id"] == second]
    assert [one["state"] for one in own] == (["pruned"] if keep == 1 else ["available"]) + [
        "available"
    ]
    reasons = [one["reason"] for one in record.decisions() if one["verdict"] == "pruned"]
    assert not [one for one in reasons[-1:] if keep == 1 and "1.0000" in one]
    assert Path("06.weights.h5").exists()


def test_a_best_value_that_was_brought_along_is_said_to_be(fit, build, record):
    """Keras keeps it; the epoch that it names is none of this run."""
    saving = saver(save_best_only=True)
    fit(build(), [Scores([3, 2, 1]), saving])
    fit(build(), [Scores([3, 2, 0.5]), saving])
    fit(build(), [Scores([3, 2, 0.1]), saving])
    second = record.decisions()[3:6]
    assert [one["verdict"] for one in second] == ["skipped", "skipped", "saved"]
    assert [one["best_epoch"] for one in second] == [None, None, 2]
    assert ["earlier training" in one["reason"] for one in second] == [True] * 3
    assert not [one for one in second if "(epoch 2)" in one["reason"]]


def test_a_second_fit_in_the_same_run_goes_on(fit, build, record):
    """The best epoch and the files are the run's."""
    saving = saver(save_best_only=True)
    with tracker.start_run("block"):
        fit(build(), [Scores([3, 2, 1]), saving])
        fit(build(), [Scores([3, 2, 1, 4]), saving], initial_epoch=3, epochs=4)
    assert record.decisions()[-1]["best_epoch"] == 2
    assert "earlier" not in record.decisions()[-1]["reason"]


class Moves(keras.callbacks.Callback):
    """Takes every file away once the epoch is over."""

    def __init__(self, take):
        super().__init__()
        self.take = take

    def on_epoch_end(self, epoch, logs=None):
        for path in sorted(Path().glob("*.weights.h5")):
            self.take(path)


def to_folder(path):
    Path("gdrive").mkdir(exist_ok=True)
    shutil.move(path, Path("gdrive") / path.name)


@pytest.mark.parametrize("take", [to_folder, Path.unlink])
def test_a_file_that_was_taken_away_was_not_pruned(take, fit, build, record):
    """It is missing, and nobody of us deleted it."""
    fit(build(), [Scores([3, 2, 1]), saver(keep=1), Moves(take)])
    assert record.verdicts() == ["saved"] * 3
    assert [one["state"] for one in record.checkpoints()] == ["missing", "missing", "available"]
