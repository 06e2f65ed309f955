"""A metric is what Keras was given, whatever kind of array holds the one number."""

from __future__ import annotations

import warnings

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

SCORES = [0.9, 0.1, 0.2, 0.15, 0.1, 0.1, 0.1]
KINDS = {
    "float": float,
    "array of one": lambda value: np.array([value]),
    "one by one": lambda value: np.array([[value]], "float32"),
    "array of no dimension": np.asarray,
    "float32": np.float32,
    "tensor of one": lambda value: keras.ops.convert_to_tensor([value]),
    "variable of one": lambda value: keras.Variable([value]),
    "int": lambda value: int(10 * value),
    "bool": lambda value: value > 0.5,
}


class Score(keras.callbacks.Callback):
    """Puts a metric into the logs, as people do; breaks off at an epoch."""

    def __init__(self, kind, fails_at=None):
        super().__init__()
        self.kind, self.fails_at = KINDS[kind], fails_at

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.fails_at:
            raise RuntimeError("killed")

    def on_epoch_end(self, epoch, logs=None):
        logs["val_f1"] = self.kind(SCORES[epoch])


@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_number_is_recorded_judged_and_resumed(kind, fit, build, record):
    """As a float is: the same value, the same decisions, the same end after a kill."""
    stopping = None
    for fails_at in (2, None):
        stopping = EarlyStopping("val_f1", mode="max", patience=3, restore_best_weights=True)
        callbacks = [
            Score(kind, fails_at),
            TrackerCallback(name="a", resume="auto"),
            stopping,
            BackupAndRestore("b"),
        ]
        if fails_at is None:
            fit(build(), callbacks, epochs=7)
        else:
            with pytest.raises(RuntimeError, match="killed"):
                fit(build(), callbacks, epochs=7)
    expected = [
        pytest.approx(float(keras.ops.convert_to_numpy(KINDS[kind](value)).item()))
        for value in SCORES[:4]
    ]
    assert [one["metrics"]["val_f1"] for one in record.epochs()] == expected
    assert record.verdicts() == ["improved", "waited", "waited", "stopped", "restored"]
    assert [one["value"] for one in record.decisions()][:4] == expected
    assert stopping.best_epoch == 0


def test_a_loss_of_one_element_is_recorded_and_streamed(fit, record):
    """A training step of one's own may return it."""

    class Own(keras.Sequential):
        def train_step(self, *args):
            super().train_step(*args)
            return {"own": keras.ops.convert_to_tensor([0.25])}

    model = Own([keras.Input((64,)), keras.layers.Dense(10, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    fit(model, [TrackerCallback(log_every=1)], epochs=1, validation_data=None)
    assert record.epochs()[0]["metrics"] == {"own": 0.25}
    assert record.ask("SELECT name FROM series") == [{"name": "own"}]


def test_a_metric_with_one_value_per_class_and_one_class(record):
    """F1Score on one output, with its defaults."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=[keras.metrics.F1Score(threshold=0.5)])
    x, y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
    history = model.fit(x, y, epochs=1, verbose=0, callbacks=[TrackerCallback()])
    expected = float(np.asarray(history.history["f1_score"][0]).item())
    assert record.epochs()[0]["metrics"]["f1_score"] == pytest.approx(expected)


def test_other_deciders_take_an_array_of_one(fit, model, record):
    """A plateau judges it; a checkpoint that Keras saves without judging it says so."""
    callbacks = [
        Score("array of one"),
        ReduceLROnPlateau("val_f1", mode="max", patience=2),
        ModelCheckpoint("{epoch}.weights.h5", "val_f1", 0, True, True, "max"),
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Can save best model only")
        fit(model, callbacks)
    assert record.verdicts("ReduceLROnPlateau") == ["improved", "waited", "reduced"]
    assert [one["value"] for one in record.decisions("ReduceLROnPlateau")] == SCORES[:3]
    assert record.verdicts("ModelCheckpoint") == ["saved"] * 3
    assert [one["value"] for one in record.checkpoints()] == SCORES[:3]


class Mean(EarlyStopping):
    """Judges what no log holds."""

    def get_monitor_value(self, logs):
        return (logs["first"] + logs["second"]) / 2


class Rounded(EarlyStopping):
    """Judges a coarser value than the one that is logged."""

    def get_monitor_value(self, logs):
        return round(logs["first"], 1)


class Shaped(EarlyStopping):
    """Judges an array."""

    def get_monitor_value(self, logs):
        return np.array([logs["first"]])


@pytest.mark.parametrize(
    ("kind", "monitor", "values", "verdicts"),
    [
        (Mean, "score", [1.5, 1.25, 1.25], ["improved", "improved", "waited"]),
        (Rounded, "first", [1.0, 0.5, 0.5], ["improved", "improved", "waited"]),
        (Shaped, "second", [1.0, 0.5, 0.46], ["improved", "improved", "improved"]),
    ],
)
def test_the_value_of_a_decision_is_the_one_that_was_compared(
    kind, monitor, values, verdicts, model, record
):
    """Where a subclass computes what it judges, the sentence and the numbers are about that."""
    stopping = kind(monitor, mode="min", patience=9)
    callbacks = keras.callbacks.CallbackList([stopping], model=model)
    callbacks.on_train_begin()
    for epoch, (first, second) in enumerate([(1.0, 2.0), (0.5, 2.0), (0.46, 2.04)]):
        callbacks.on_epoch_begin(epoch)
        callbacks.on_epoch_end(epoch, {"first": first, "second": second})
    callbacks.on_train_end()
    decisions = record.decisions()
    assert [one["verdict"] for one in decisions] == verdicts
    assert [one["value"] for one in decisions] == pytest.approx(values)
    assert not [one["reason"] for one in decisions if "NaN" in one["reason"]]


SEVERAL = {
    "array": np.array([0.5, 0.25]),
    "list": [0.5, 0.25],
    "empty array": np.array([]),
    "matrix": np.eye(2),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_a_metric_of_several_numbers_is_named_once(kind, fit, model, record):
    """It is not recorded, and a checkpoint that Keras saves for it says why."""

    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_f1"] = SEVERAL[kind]

    saving = ModelCheckpoint("m.weights.h5", "val_f1", 0, True, True, "max")
    if kind == "list":  # Keras judges no list
        saving = ModelCheckpoint("m.weights.h5", save_weights_only=True)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        fit(model, [Adds(), saving], epochs=2)
    told = [str(one.message) for one in warned if "val_f1 is not recorded" in str(one.message)]
    assert len(told) == 1
    assert "val_f1" not in record.epochs()[0]["metrics"]
    assert not [
        one["reason"] for one in record.decisions() if "there is no val_f1" in one["reason"]
    ]


def test_a_metric_that_is_none_is_not_among_those_that_are_there(fit, model, record):
    """The sentence does not contradict itself."""

    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_f1"] = None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(model, [Adds(), EarlyStopping("val_f1", mode="max")], epochs=1)
    (reason,) = [one["reason"] for one in record.decisions()]
    assert reason.count("val_f1") == 1
