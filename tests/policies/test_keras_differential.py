"""``keras-3.15`` is pinned to Keras: random series through both, compared after every epoch.

The hooks of the real callbacks are called as ``fit`` calls them, without the training between, so
that thousands of series take seconds. The backend is torch unless Keras is already loaded with
another; test_keras_differential_tensorflow.py runs this file once more on TensorFlow.
"""

import math
import os
import random
import sys
from typing import ClassVar

import pytest

from tracker.policies import (
    KERAS,
    Best,
    EarlyStopping,
    ReduceLROnPlateau,
    Schedule,
    direction_of,
)
from tracker.policies.compare import beats, single

SERIES = int(os.environ.get("TRACKER_TEST_SERIES", "2000"))
EPOCHS = 24
TIES = [0.5, 0.5000000005, 0.5 + 2**-25, 0.5 - 2**-26, 0.5 + 2**-23, 0.6, 0.4, 0.3, 0.1, 0.0, -0.0]
ODD = [math.nan, math.inf, -math.inf]
DELTAS = [0, 0.0, 1e-9, 1e-4, 0.1, -0.1, 0.2]

pytestmark = [pytest.mark.xdist_group("keras-torch"), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def keras():
    """Return Keras, on torch where nobody has loaded it before: that loads fastest."""
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    found = pytest.importorskip("keras")
    if not found.__version__.startswith("3.15."):
        pytest.skip(f"keras-3.15 is pinned to Keras 3.15, this is {found.__version__}")
    return found


@pytest.fixture(scope="module")
def model(keras):
    """Return a small compiled model that notes where it is asked to save."""

    class Noting(keras.Sequential):
        saves: ClassVar[list[str]] = []

        def save_weights(self, filepath, overwrite=True, **options):
            self.saves.append(filepath)

    made = Noting([keras.layers.Input((1,)), keras.layers.Dense(1)])
    made.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", metrics=["accuracy"])
    made.train_on_batch(keras.ops.ones((2, 1)), keras.ops.ones((2, 1)))
    return made


def a_series(rng):
    """Return ``(epoch, value)`` of a training: noise, descent, plateaus, ties, steps of a delta."""
    kind, value, delta = rng.randrange(5), 0.5, abs(rng.choice(DELTAS))
    missing, odd = rng.choice([0, 0, 0.1]), rng.choice([0, 0, 0.08])
    first = rng.choice([0, 0, 0, 1, 5])
    series = []
    for epoch in range(first, first + EPOCHS):
        value = (
            rng.choice(TIES),
            rng.uniform(-1, 1),
            value + rng.choice([0, 0, 0, -0.01, 0.01, 1e-9]),
            value + rng.choice([0, delta, -delta]) * rng.choice([1, 1 + 1e-7, 1 - 1e-7]),
            rng.choice([1e-3, 1e30, 3e38, -1e30, 1e-30, 16777216.0, 16777217.0]),
        )[kind]
        shown = rng.choice(ODD) if rng.random() < odd else value
        series.append((epoch, None if rng.random() < missing else shown))
    return series


def monitor_and_mode(rng):
    """Return a monitor and a mode that Keras accepts for it."""
    return rng.choice(
        [("val_loss", "auto"), ("loss", "min"), ("val_accuracy", "auto"), ("score", "max")]
    )


def logs_of(monitor, value):
    """Return what ``fit`` would hand over."""
    return {"other": 1.0} if value is None else {"other": 1.0, monitor: value}


def same(ours, theirs):
    """Say whether two values are the same, None and NaN each equal to itself."""
    if ours is None or theirs is None:
        return ours is theirs
    return ours == theirs or (math.isnan(ours) and math.isnan(theirs))


@pytest.mark.parametrize("part", range(4))
def test_early_stopping(keras, model, part):
    """Wait, best, stop and verdict of every epoch are Keras', also where training continues."""
    for seed in range(part, SERIES, 4):
        rng = random.Random(seed)
        monitor, mode = monitor_and_mode(rng)
        options = {
            "monitor": monitor,
            "mode": mode,
            "min_delta": rng.choice(DELTAS),
            "patience": rng.choice([-1, 0, 1, 2, 3, 5]),
            "baseline": rng.choice([None, None, 0.5, 0.45, 1, 0]),
            "start_from_epoch": rng.choice([0, 0, 0, 3]),
        }
        callback, policy = (
            keras.callbacks.EarlyStopping(**options),
            EarlyStopping(**options, rules=KERAS),
        )
        callback.set_model(model)
        callback.on_train_begin()
        state = policy.initial()
        for epoch, value in a_series(rng):
            model.stop_training = False
            best_before, epoch_before = callback.best, callback.best_epoch
            callback.on_epoch_end(epoch, logs_of(monitor, value))
            state, verdict = policy.step(state, epoch, value)
            said = (seed, options, epoch, value, verdict)
            assert verdict.stop is model.stop_training, said
            assert state.wait == verdict.wait == callback.wait, said
            assert same(state.best, callback.best), said
            assert (state.best_epoch or 0) == callback.best_epoch, said
            assert (state.stopped_epoch or 0) == callback.stopped_epoch, said
            moved = best_before is None or epoch_before != callback.best_epoch
            judged = value is not None and epoch >= options["start_from_epoch"]
            assert verdict.improved is bool(judged and moved), said
            word = "improved" if moved else "stopped" if model.stop_training else "waited"
            assert verdict.verdict == (word if judged else "skipped"), said


@pytest.mark.parametrize("part", range(4))
def test_reduce_lr_on_plateau(keras, model, part):
    """Wait, best, cooldown and learning rate of every epoch are Keras', to the last bit."""
    for seed in range(part, SERIES, 4):
        rng = random.Random(seed)
        monitor, mode = monitor_and_mode(rng)
        options = {
            "monitor": monitor,
            "mode": mode,
            "factor": rng.choice([0.1, 0.5, 0.9, 1 / 3, 0, -0.5]),
            "min_delta": rng.choice(DELTAS),
            "patience": rng.choice([-1, 0, 1, 2, 3]),
            "cooldown": rng.choice([0, 0, 1, 3]),
            "min_lr": rng.choice([0, 0.0, 1e-3, 0.02]),
        }
        callback, policy = (
            keras.callbacks.ReduceLROnPlateau(**options),
            ReduceLROnPlateau(**options, rules=KERAS),
        )
        model.optimizer.learning_rate = rng.choice([0.1, 0.01, 1.0, 1e-3, 0.3])
        callback.set_model(model)
        callback.on_train_begin()
        state = policy.initial()
        for epoch, value in a_series(rng):
            before = float(model.optimizer.learning_rate)
            callback.on_epoch_end(epoch, logs_of(monitor, value))
            after = float(model.optimizer.learning_rate)
            state, verdict = policy.step(state, epoch, value, before)
            said = (seed, options, epoch, value, verdict)
            assert (verdict.lr_before, verdict.lr_after) == (before, after), said
            assert state.wait == callback.wait, said
            assert state.cooldown_counter == callback.cooldown_counter, said
            assert same(state.best, callback.best), said
            assert after == before or verdict.verdict == "reduced", said


@pytest.mark.parametrize("part", range(4))
def test_model_checkpoint(keras, model, tmp_path, part):
    """The epochs that are saved, and the best value, are Keras'."""
    for seed in range(part, SERIES, 4):
        rng = random.Random(seed)
        monitor, mode = monitor_and_mode(rng)
        options = {
            "monitor": monitor,
            "mode": mode,
            "save_best_only": rng.random() < 0.8,
            "initial_value_threshold": rng.choice([None, None, 0.5, 0.4, 0, math.inf]),
        }
        callback = keras.callbacks.ModelCheckpoint(
            tmp_path / "m.weights.h5", save_weights_only=True, **options
        )
        callback.set_model(model)
        callback.on_train_begin()
        policy = Best(**options, rules=KERAS)
        state = policy.initial()
        for epoch, value in a_series(rng):
            model.saves.clear()
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, logs_of(monitor, value))
            state, verdict = policy.step(state, epoch, value)
            said = (seed, options, epoch, value, verdict)
            assert verdict.save is bool(model.saves), said
            assert same(state.best, callback.best), said


def test_model_checkpoint_with_files(keras, tmp_path):
    """A file appears exactly at the epochs that are called saved."""
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    path = tmp_path / "m.weights.h5"
    for seed in range(10):
        callback = keras.callbacks.ModelCheckpoint(
            path, save_best_only=True, save_weights_only=True
        )
        callback.set_model(model)
        policy = Best(save_best_only=True, rules=KERAS)
        state = policy.initial()
        for epoch, value in a_series(random.Random(seed)):
            path.unlink(missing_ok=True)
            callback.on_epoch_end(epoch, logs_of("val_loss", value))
            state, verdict = policy.step(state, epoch, value)
            assert verdict.save is path.exists()


@pytest.mark.parametrize(
    "schedule",
    [lambda epoch, lr: lr * 0.9, lambda epoch: 0.1 / (epoch + 1), lambda epoch, lr=0.5: lr / 2],
)
def test_learning_rate_scheduler(keras, model, schedule):
    """A schedule sets the learning rate that Keras' scheduler sets, but for single precision."""
    model.optimizer.learning_rate = 0.1
    callback = keras.callbacks.LearningRateScheduler(schedule)
    callback.set_model(model)
    for epoch in range(20):
        verdict = Schedule(schedule).step(epoch, float(model.optimizer.learning_rate))
        callback.on_epoch_begin(epoch)
        assert single(verdict.lr_after) == float(model.optimizer.learning_rate)


def test_comparison_is_that_of_keras_ops(keras):
    """Any two numbers compare as `keras.ops.less` and `greater` compare them."""
    rng = random.Random(0)
    numbers = [*TIES, *ODD, 1, 3.4028234663852886e38]
    if keras.backend.backend() == "torch":  # TensorFlow: an error above, zero below
        numbers += [3.4028235e38, 3.4028236e38, 3.4028235677973362e38, 1e300, 1e-40, 1.4e-45, 1e-46]
    for _ in range(3000):
        value = float(rng.choice([rng.choice(numbers), rng.gauss(0, 1)]))
        near = math.nextafter(single(value), 9) if math.isfinite(value) else value
        other = rng.choice([rng.choice(numbers), value, near])
        less = bool(keras.ops.less(value, other))
        assert beats(value, other, direction="min", rules=KERAS) is less, (value, other)
        greater = bool(keras.ops.greater(value, other))
        assert beats(value, other, direction="max", rules=KERAS) is greater, (value, other)


def test_auto_knows_the_metrics_that_keras_gives_a_direction(keras):
    """Mode auto resolves every metric of Keras by name as Keras does by object."""
    from tracker.errors import BadValue

    needs = {
        "IoU": (2, [0]),
        "MeanIoU": (2,),
        "OneHotIoU": (2, [0]),
        "OneHotMeanIoU": (2,),
        "PrecisionAtRecall": (0.5,),
        "RecallAtPrecision": (0.5,),
        "SensitivityAtSpecificity": (0.5,),
        "SpecificityAtSensitivity": (0.5,),
    }
    classes = {name: made for name, made in vars(keras.metrics).items() if isinstance(made, type)}
    for name in classes.keys() - {"Metric", "MeanMetricWrapper"}:
        metric = classes[name](*needs.get(name, ()))
        expected = {"up": "max", "down": "min"}.get(getattr(metric, "_direction", None))
        for monitor in (metric.name, f"val_{metric.name}", name):
            if expected is None:
                with pytest.raises(BadValue):
                    direction_of(monitor, "auto", KERAS)
            else:
                assert direction_of(monitor, "auto", KERAS) == expected, monitor
