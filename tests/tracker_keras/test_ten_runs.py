"""A script that is run ten times leaves the best of the ten, and takes the room of two files."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import tracker
from tests.helpers.ten_runs import LOSSES, check_ten_runs
from tracker_keras import ModelCheckpoint, TrackerCallback


@pytest.mark.parametrize("name", ["best.keras", "best.weights.h5"])
def test_of_ten_runs_of_a_script_the_best_can_be_restored(name, fit, build, cli):
    weights = {}

    class Chosen(keras.callbacks.Callback):
        """Lets the second epoch be the best, with a loss that is chosen."""

        def __init__(self, loss):
            super().__init__()
            self.loss = loss

        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = self.loss + abs(epoch - 1)
            if epoch == 1:
                weights[self.loss] = self.model.get_weights()

    def run(loss):
        keras.utils.set_random_seed(round(100 * loss))
        keeper = ModelCheckpoint(
            name, save_best_only=True, save_weights_only=name.endswith("weights.h5")
        )
        # Each run trains another way, so that its weights are its own.
        model = build(optimizer=keras.optimizers.SGD(loss))
        fit(model, [TrackerCallback(experiment="ten"), Chosen(loss), keeper])

    check_ten_runs(run, Path(name), cli)
    model = build()
    loaded = tracker.load_checkpoint(tracker.best("ten"), "best", model)
    assert loaded.epoch == 1
    for one, other in zip(model.get_weights(), weights[min(LOSSES)], strict=True):
        assert np.array_equal(one, other)
