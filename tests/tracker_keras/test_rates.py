"""Of each epoch the learning rates of its first and its last batch are recorded, whoever changes them."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

import tracker
from tracker_keras import BackupAndRestore, TrackerCallback

DECAY = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=1, decay_rate=0.5)


class BeforeEachBatch(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        count = int(self.model.optimizer.iterations)
        self.model.optimizer.learning_rate = 0.1 / 2**count


class AfterEachBatch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        count = int(self.model.optimizer.iterations)
        self.model.optimizer.learning_rate = 0.1 / 2**count


class AfterEachEpoch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.1 / 2 ** (3 * (epoch + 1))


def rates(record):
    found = record.ask("SELECT learning_rates FROM epoch ORDER BY id")
    texts = [one["learning_rates"] for one in found]
    return [None if text is None else json.loads(text)["0"] for text in texts]


def halved(*exponents):
    return pytest.approx(np.array([0.1 / 2**exponent for exponent in exponents]), rel=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "changes", "expected"),
    [
        (keras.optimizers.SGD, [], [0, 0, 0, 0]),
        (lambda rate: keras.optimizers.SGD(DECAY), [], [0, 2, 3, 5]),
        (keras.optimizers.SGD, [BeforeEachBatch], [0, 2, 3, 5]),
        (keras.optimizers.SGD, [AfterEachBatch], [0, 2, 3, 5]),
        (keras.optimizers.SGD, [AfterEachEpoch], [0, 0, 3, 3]),
    ],
    ids=["constant", "schedule", "before batches", "after batches", "after epochs"],
)
def test_a_rate_that_changes_within_an_epoch(optimizer, changes, expected, fit, build, record):
    """Three batches an epoch; the callbacks that change it stand first, as those of Keras' own do."""
    callbacks = [*(change() for change in changes), TrackerCallback()]
    fit(build(optimizer=optimizer(0.1)), callbacks, epochs=2)
    assert np.ravel(rates(record)) == halved(*expected)


def test_accumulated_gradients_and_one_batch_an_epoch(fit, build, record):
    """The last step of the optimizer counts, not the batches after it."""
    optimizer = keras.optimizers.SGD(DECAY, gradient_accumulation_steps=2)
    fit(build(optimizer=optimizer), [TrackerCallback()], epochs=1)
    fit(build(optimizer=keras.optimizers.SGD(0.1)), [TrackerCallback()], epochs=1, batch_size=96)
    assert np.ravel(rates(record)) == halved(0, 1, 0, 0)


@pytest.mark.filterwarnings("ignore:Your input ran out of data", "ignore:.*will be ignored")
def test_a_last_rate_that_nobody_could_read_is_not_made_up(fit, build, data, record):
    """Keras learns the number of a generator's batches when it ends."""
    batches = ((data.x[start : start + 32], data.y[start : start + 32]) for start in (0, 32, 64))
    callbacks = [AfterEachBatch(), TrackerCallback()]
    fit(
        build(optimizer=keras.optimizers.SGD(0.1)),
        callbacks,
        x=batches,
        y=None,
        batch_size=None,
        epochs=1,
    )
    assert rates(record) == [None]
    assert [one["learning_rate"] for one in record.epochs()] == halved(0)


class Killed(Exception):
    """Stands for a kill."""


def test_the_optimizers_own_count_is_captured_beside_the_runs_steps(fit, build, record, folder):
    """It is divided by the accumulation, and goes on with what was loaded."""
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=3)
    model = build(optimizer=optimizer)
    fit(model, epochs=2)
    model.save("base.keras")
    loaded = keras.saving.load_model("base.keras")

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise Killed

    with pytest.raises(Killed):
        fit(loaded, [TrackerCallback(name="a"), BackupAndRestore("b"), Kill()], epochs=2)
    again = keras.saving.load_model("base.keras")
    fit(again, [TrackerCallback(name="a", resume="auto"), BackupAndRestore("b")], epochs=2)
    attempts = record.ask("SELECT captured FROM attempt ORDER BY number")
    counts = [json.loads(one["captured"])["iterations"] for one in attempts]
    assert counts == [{"at_begin": 2, "at_end": 3}, {"at_begin": 3, "at_end": 4}]
    assert [one["step"] for one in record.epochs()] == [3, 6]


def test_a_rate_that_nothing_was_trained_with_is_not_recorded():
    """A training step with optimizers of its own leaves the one that Keras makes by itself alone."""
    keras.utils.set_random_seed(0)
    rates = {}
    for kind in (Own, Watching):
        model = kind([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("rmsprop", "mse", run_eagerly=True)
        callbacks = [TrackerCallback(name=kind.__name__)]
        model.fit(np.ones((8, 2)), np.ones(8), epochs=2, verbose=0, callbacks=callbacks)
        rates[kind] = tracker.epochs(kind.__name__)["learning_rate"]
    assert rates[Own].isna().all()
    assert rates[Watching].tolist() == [pytest.approx(0.001)] * 2


class Own(keras.Sequential):
    """Trains with something else than the optimizer that it was compiled with."""

    def train_step(self, data):
        return {"loss": keras.ops.convert_to_tensor(0.5)}


class Watching(keras.Sequential):
    """Has a training step of its own that trains as Keras does."""

    def train_step(self, *args):
        return super().train_step(*args)
