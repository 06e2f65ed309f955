"""What is recorded of an epoch, whatever model and whatever stands where in the list."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np
import pytest

import tracker
from tracker_keras import (
    BaseLogger,
    CSVLogger,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ReduceLROnPlateau,
    TensorBoard,
    TrackerCallback,
)


class BeginRate(keras.callbacks.Callback):
    """Changes the rate where each epoch begins."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.1 / 2**epoch


class EndRate(keras.callbacks.Callback):
    """Changes the rate where each epoch ends, for the next one."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.1 / 2 ** (epoch + 1)


RATES = {
    "begin": BeginRate,
    "end": EndRate,
    "Keras' schedule": lambda: keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / 2**epoch),
    "our schedule": lambda: LearningRateScheduler(lambda epoch: 0.1 / 2**epoch),
    "Keras' plateau": lambda: keras.callbacks.ReduceLROnPlateau("loss", 0.5, 0, mode="max"),
    "our plateau": lambda: ReduceLROnPlateau("loss", 0.5, 0, mode="max"),
}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", RATES)
def test_the_learning_rate_is_the_one_trained_with(kind, after, fit, model, record):
    """Before or after a callback that changes it, at an epoch's begin or end."""
    callbacks = [TrackerCallback(), RATES[kind]()]
    fit(model, callbacks[::-1] if after else callbacks)
    expected = [0.1, 0.1, 0.05] if "plateau" in kind else [0.1, 0.05, 0.025]
    assert [one["learning_rate"] for one in record.epochs()] == pytest.approx(expected)


@pytest.mark.parametrize("callback", [RATES["Keras' schedule"], RATES["our plateau"]])
def test_what_later_callbacks_put_into_the_logs_is_recorded(callback, fit, model, record):
    """Metrics are those of History, to the last bit, the last epoch's included."""
    history = fit(model, [TrackerCallback(), callback()]).history
    for name, values in history.items():
        assert [one["metrics"][name] for one in record.epochs()] == values
    assert "learning_rate" in history


def test_validation_every_other_epoch(fit, model, record):
    """An epoch has the metrics that it has, no more."""
    fit(model, [TrackerCallback()], epochs=4, validation_freq=2)
    has = ["val_loss" in one["metrics"] for one in record.epochs()]
    assert has == [False, True, False, True]


def test_sample_weights(fit, build, data, record):
    """Are Keras' business: the weighted loss is recorded, and that there were weights."""
    history = fit(build(), [TrackerCallback()], sample_weight=data.weights).history
    assert [one["metrics"]["loss"] for one in record.epochs()] == history["loss"]
    assert record.captured()["fit"]["sample_weight"] is True


def test_several_outputs(fit, data, record):
    """Each output's metrics are recorded under Keras' names."""
    x = keras.Input((64,))
    a, b = keras.layers.Dense(1, name="a")(x), keras.layers.Dense(1, name="b")(x)
    model = keras.Model(x, [a, b])
    model.compile("sgd", {"a": "mse", "b": keras.losses.Huber()}, run_eagerly=True)
    history = fit(model, [TrackerCallback()], y=[data.y, data.y], validation_data=None).history
    assert set(record.epochs()[0]["metrics"]) == set(history) >= {"a_loss", "b_loss", "loss"}
    assert record.captured()["loss"]["a"] == "mse"
    assert record.captured()["loss"]["b"]["class"] == "Huber"


class Subclassed(keras.Model):
    """A model whose parts Keras cannot list beforehand."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(10, activation="softmax")

    def call(self, x):
        return self.dense(x)


def test_a_subclassed_model(fit, record):
    """Is recorded with its class and its parameters."""
    model = Subclassed()
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    fit(model, [TrackerCallback()], epochs=1)
    captured = record.captured()
    assert captured["model"]["class"].endswith("Subclassed")
    assert captured["model"]["parameters"] == 650
    assert captured["optimizer"]["config"]["learning_rate"] == pytest.approx(0.001)


def test_a_custom_training_step(fit, data, record):
    """Logs that no metric object stands behind are recorded; BaseLogger averages them."""

    class Raw(Subclassed):
        def train_step(self, *args):
            return {"loss": 1.0, "batch_value": float(next(values))}

    model = Raw()
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    model.build((None, 64))
    values = iter([1, 2, 3])
    fit(model, [BaseLogger(), TrackerCallback()], epochs=1, validation_data=None)
    assert record.epochs()[0]["metrics"] == {"loss": 1.0, "batch_value": 2.0}


def test_mixed_precision(fit, data, record):
    """A loss-scaled optimizer and half-precision metrics come out as plain numbers."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.05), loss, run_eagerly=True)
        fit(model, [TrackerCallback(), ReduceLROnPlateau(patience=9)], epochs=1)
    finally:
        keras.config.set_dtype_policy("float32")
    (epoch,) = record.epochs()
    assert epoch["learning_rate"] == pytest.approx(0.05) and math.isfinite(epoch["metrics"]["loss"])
    assert record.captured()["keras"]["dtype_policy"] == "mixed_float16"


def test_a_nan_is_recorded_as_one(fit, build, record):
    """NaN is NaN, not missing."""
    model = build(optimizer=keras.optimizers.SGD(float("nan")))
    fit(model, [TrackerCallback()], epochs=2)
    assert math.isnan(record.epochs()[1]["metrics"]["loss"])


def test_logs_that_are_no_numbers_end_no_training(fit, model, record):
    """A callback may put a confusion matrix or text into the logs."""

    class Odd(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs.update(matrix=np.eye(3), word="good", one=np.float32(0.5), none=None)
            logs.update(report={"a": 1.0}, root=1j, gone=np.ma.masked)

    with pytest.warns(UserWarning, match="matrix, word, report, root, gone are not recorded: a me"):
        fit(model, [Odd(), TrackerCallback()], epochs=1)
    metrics = record.epochs()[0]["metrics"]
    assert metrics["one"] == 0.5 and set(metrics) <= {
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "one",
    }


def test_captured_at_the_start(fit, model, record):
    """Model, optimizer, loss, fit and Keras."""
    fit(model, [TrackerCallback()], epochs=1, batch_size=16)
    found = record.captured()
    assert found["model"]["trainable_parameters"] == 64 * 12 + 12 + 12 * 10 + 10
    assert found["optimizer"]["class"] == "SGD"
    assert found["loss"] == "sparse_categorical_crossentropy"
    assert (found["fit"]["batch_size"], found["fit"]["steps"]) == (16, 6)
    assert found["keras"]["backend"] == keras.backend.backend()
    assert found["keras"]["version"] == keras.__version__


def test_the_default_batch_size_is_captured(fit, model, record):
    """Keras takes 32 for arrays."""
    fit(model, [TrackerCallback()], epochs=1, batch_size=None)
    assert record.captured()["fit"]["batch_size"] == 32


@pytest.mark.parametrize(("every", "points"), [(1, 9), (2, 4), (4, 2)])
def test_steps_are_streamed_when_asked_for(every, points, fit, model, record):
    """Every so many steps over all epochs, counted from 1."""
    fit(model, [TrackerCallback(log_every=every)])
    blocks = record.ask("SELECT sum(points) AS n FROM block JOIN series ON series.id = series_id "
                        "WHERE name = 'loss'")  # fmt: skip
    assert blocks == [{"n": points}]


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"])
def test_log_every_is_checked(wrong):
    """At once, with the value."""
    with pytest.raises(tracker.BadValue, match=f"log_every is {wrong!r}"):
        TrackerCallback(log_every=wrong)


def test_history_is_read_back(fit, model):
    """From the database it is what fit returned, missing validations and all."""
    lived = fit(model, [TrackerCallback(name="lived")], epochs=4, validation_freq=3)
    read = History.from_run("lived")
    assert (read.history, read.epoch) == (lived.history, lived.epoch)


def test_the_folder_of_tensorboard_is_known(fit, model, record):
    """The run says where the event files are."""
    fit(model, [TensorBoard("board")], epochs=1)
    assert record.captured()["tensorboard"]["folders"] == [str(Path("board").absolute())]


def test_what_a_function_sets_is_a_decision_of_its_callback(fit, model, record):
    """A learning rate and a stop by a LambdaCallback say whose they are."""

    def act(epoch, logs):
        model.optimizer.learning_rate = 0.01
        model.stop_training = epoch == 1

    fit(model, [LambdaCallback(on_epoch_end=act)], epochs=5)
    rates = [(one["lr_before"], one["lr_after"]) for one in record.decisions()[:1]]
    assert rates == [pytest.approx((0.1, 0.01))]
    assert record.verdicts("LambdaCallback") == ["scheduled", "stopped"]
    assert record.run()["reason"] == "a LambdaCallback set stop_training at epoch 1"


def test_a_hook_that_does_not_exist_is_named():
    """Keras never calls it, and says nothing."""
    with pytest.warns(UserWarning, match=r"on_epoch_ends=.*did you mean on_epoch_end\?"):
        LambdaCallback(on_epoch_ends=print)


def test_base_logger_averages_as_keras_2_did():
    """Weighted by batch size; stateful metrics keep their last value; only what params name."""
    logger = BaseLogger(stateful_metrics=["auc"])
    logger.set_params({"metrics": ["loss", "auc"]})
    logger.on_epoch_begin(0)
    for batch, (size, loss, auc) in enumerate([(2, 1.0, 0.1), (6, 2.0, 0.9)]):
        logger.on_batch_end(batch, {"size": size, "loss": loss, "auc": auc, "other": 5.0})
    logs = {}
    logger.on_epoch_end(0, logs)
    assert logs == {"loss": 1.75, "auc": 0.9}


def test_base_logger_leaves_the_averages_of_keras_3(fit, build):
    """They are averages already."""
    plain = fit(build()).history
    assert fit(build(), [BaseLogger(), CSVLogger("log.csv")]).history == plain
