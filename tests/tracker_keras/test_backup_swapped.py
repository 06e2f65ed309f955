"""A backup holds the weights that training continues from, not those that another callback shows meanwhile."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tracker_keras import (
    BackupAndRestore,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TrackerCallback,
)


class Rounds(keras.callbacks.Callback):
    """Shows rounded weights between epochs, as quantization does."""

    kept = None

    def on_epoch_begin(self, epoch, logs=None):
        if self.kept is not None:
            self.model.set_weights(self.kept)

    def on_epoch_end(self, epoch, logs=None):
        self.kept = self.model.get_weights()
        self.model.set_weights([np.round(one, 1) for one in self.kept])


class Rate(keras.callbacks.Callback):
    """Shows another learning rate between epochs."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.1

    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.0


class Fails(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise RuntimeError("killed")


SWAPS = {
    "average": lambda: keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
    "rounded": Rounds,
    "rate": Rate,
}


@pytest.mark.parametrize("behind", [ModelCheckpoint, ReduceLROnPlateau])
@pytest.mark.parametrize("swap", SWAPS)
def test_a_resumed_training_is_the_same_one(swap, behind, fit, build, same_weights):
    """With one of our callbacks behind the one that exchanges them."""

    def callbacks():
        ours = {
            ModelCheckpoint: lambda: ModelCheckpoint("m.weights.h5", save_weights_only=True),
            ReduceLROnPlateau: lambda: ReduceLROnPlateau("loss", patience=9),
        }[behind]()
        return [
            BackupAndRestore("b"),
            SWAPS[swap](),
            ours,
            TrackerCallback(name="r", resume="auto"),
        ]

    def model():
        return build(optimizer=keras.optimizers.SGD(0.1, use_ema=True))

    whole, resumed = model(), model()
    plain = fit(whole, [SWAPS[swap]()], epochs=4).history["loss"]
    with pytest.raises(RuntimeError, match="killed"):
        fit(model(), [*callbacks(), Fails()], epochs=4)
    history = fit(resumed, callbacks(), epochs=4)
    assert history.epoch == [2, 3]
    assert history.history["loss"] == pytest.approx(plain[2:])


@pytest.mark.parametrize("swap", ["average", "rounded"])
def test_best_weights_are_those_that_were_judged(swap, fit, build, same_weights):
    """EarlyStopping behind the exchange holds the exchanged weights, also of the epoch before the kill."""

    def callbacks():
        stopping = EarlyStopping("epoch", mode="max", patience=1, restore_best_weights=True)
        return [BackupAndRestore("b"), Epochs(), SWAPS[swap](), stopping]

    def model():
        return build(optimizer=keras.optimizers.SGD(0.1, use_ema=True))

    whole, resumed = model(), model()
    fit(whole, [TrackerCallback(name="whole"), *callbacks()], epochs=6)
    tracking = {"name": "r", "resume": "auto"}
    with pytest.raises(RuntimeError, match="killed"):
        fit(model(), [TrackerCallback(**tracking), *callbacks(), Fails()], epochs=6)
    fit(resumed, [TrackerCallback(**tracking), *callbacks()], epochs=6)
    assert same_weights(whole, resumed)


class Epochs(keras.callbacks.Callback):
    """A metric that is best at epoch 1."""

    def on_epoch_end(self, epoch, logs=None):
        logs["epoch"] = [0.1, 0.9, 0.5, 0.4, 0.3, 0.2][epoch]
