"""Steps are the training batches of the run, whatever the optimizer counts."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import tracker
from tracker_keras import BackupAndRestore, EarlyStopping, ModelCheckpoint, TrackerCallback

X = np.linspace(0, 1, 32, dtype="float32").reshape(16, 2)
Y = X.sum(axis=1)
STRIDE = 1 if keras.backend.backend() == "torch" else 2  # it takes no other


class TwoOptimizers(keras.Sequential):
    """Steps optimizers of its own, not the one that it was compiled with."""

    def train_step(self, data):
        if not hasattr(self, "own"):
            self.own = [keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.02)]
        return {"loss": keras.ops.convert_to_tensor(0.5)}


def layers():
    return [keras.Input((2,)), keras.layers.Dense(1)]


def accumulating():
    model = keras.Sequential(layers())
    model.compile(keras.optimizers.Adam(0.01, gradient_accumulation_steps=2), "mse")
    return model


def with_two_optimizers():
    model = TwoOptimizers(layers())
    model.compile(loss="mse", run_eagerly=True)
    return model


def loaded():
    model = keras.Sequential(layers())
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=4, epochs=5, verbose=0)
    model.save("base.keras")
    return keras.saving.load_model("base.keras")


def plain():
    model = keras.Sequential(layers())
    model.compile("sgd", "mse")
    return model


def several_in_an_execution():
    model = keras.Sequential(layers())
    model.compile("sgd", "mse", steps_per_execution=STRIDE)
    return model


class Fails(keras.callbacks.Callback):
    def __init__(self, epoch, batch=None):
        super().__init__()
        self.epoch, self.batch, self.current = epoch, batch, None

    def on_epoch_begin(self, epoch, logs=None):
        self.current = epoch
        if epoch == self.epoch and self.batch is None:
            raise RuntimeError("killed")

    def on_train_batch_end(self, batch, logs=None):
        if self.current == self.epoch and self.batch is not None and batch >= self.batch:
            raise RuntimeError("killed")


@pytest.mark.parametrize("killed_at", [(2,), (2, 1)])
@pytest.mark.parametrize(
    "build", [accumulating, with_two_optimizers, loaded, plain, several_in_an_execution]
)
@pytest.mark.parametrize("every", [None, 1])
def test_a_resumed_run_continues_its_own_count(every, build, killed_at, record):
    """Points and checkpoints are numbered as in a training without an interruption."""
    for fails in (Fails(*killed_at), None):
        callbacks = [
            ModelCheckpoint("{epoch}.weights.h5", save_weights_only=True),
            TrackerCallback(name="ga", resume="auto", log_every=every),
            BackupAndRestore("b"),
        ]
        if fails is None:
            build().fit(X, Y, batch_size=4, epochs=4, verbose=0, callbacks=callbacks)
            continue
        with pytest.raises(RuntimeError, match="killed"):
            build().fit(X, Y, batch_size=4, epochs=4, verbose=0, callbacks=[*callbacks, fails])
    assert [one["step"] for one in record.epochs()] == [4, 8, 12, 16]
    assert [one["step"] for one in record.checkpoints()] == [4, 8, 12, 16]
    if every is not None:
        steps = tracker.metrics("ga", names="loss")["step"].tolist()
        stride = STRIDE if build is several_in_an_execution else 1
        assert steps == list(range(stride, 17, stride))


def test_a_resume_within_the_first_epoch_counts_from_its_beginning(record):
    """The backup has the weights and the optimizer of a batch in it, but Keras trains it as a whole."""
    for fails in (Fails(0, 2), None):
        tracking = TrackerCallback(name="first", resume="auto", log_every=1)
        callbacks = [tracking, BackupAndRestore("b", save_freq=1), *([fails] if fails else [])]
        try:
            plain().fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=callbacks)
        except RuntimeError:
            continue
    assert [one["step"] for one in record.epochs()] == [4, 8]
    assert tracker.metrics("first", names="loss")["step"].tolist() == list(range(1, 9))


def test_data_of_unknown_length(record):
    """Nothing says beforehand how many batches there are."""
    batches = ((X[:4], Y[:4]) for _ in range(3))
    plain().fit(batches, epochs=1, verbose=0, callbacks=[TrackerCallback()])
    assert [one["step"] for one in record.epochs()] == [3]


def test_an_epoch_that_is_cut_short(record):
    """Counts the batches that were trained."""

    class Cut(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    plain().fit(X, Y, batch_size=4, epochs=3, verbose=0, callbacks=[Cut(), TrackerCallback()])
    assert record.epochs()[-1]["step"] == 2


def test_a_checkpoint_between_epochs(record):
    """Has the step at which it was saved."""
    saving = ModelCheckpoint("{epoch}-{batch}.weights.h5", save_weights_only=True, save_freq=3)
    plain().fit(X, Y, batch_size=4, epochs=3, verbose=0, callbacks=[saving])
    assert [one["step"] for one in record.checkpoints()] == [3, 6, 9, 12]


@pytest.mark.parametrize(("told", "steps"), [(3, [3, 6]), (0, [None, None])])
def test_a_loop_by_hand_counts_what_it_tells(told, steps, record):
    """Of batches that nobody tells there is no count."""
    callbacks = keras.callbacks.CallbackList([EarlyStopping("loss")], model=plain())
    callbacks.on_train_begin()
    for epoch in range(2):
        callbacks.on_epoch_begin(epoch)
        for batch in range(told):
            callbacks.on_train_batch_end(batch, {"loss": 1.0})
        callbacks.on_epoch_end(epoch, {"loss": 1.0})
    callbacks.on_train_end()
    assert [one["step"] for one in record.epochs()] == steps


def test_no_hook_stays_on_a_callback(record):
    """The next fit may hand batches to threads as before."""
    tracking, stopping = TrackerCallback(), EarlyStopping("loss")
    plain().fit(X, Y, epochs=1, verbose=0, callbacks=[tracking, stopping])
    for callback in (tracking, stopping):
        assert "on_train_batch_end" not in callback.__dict__
        assert "on_train_batch_begin" not in callback.__dict__
