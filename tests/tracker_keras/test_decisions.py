"""Each decision is a row: what, why, by whom, and what it changed."""

from __future__ import annotations

import json
import math

import keras
import pytest

from tracker_keras import (
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
    TrackerCallback,
)


class Feed(keras.callbacks.Callback):
    """Puts chosen values into the logs, before anybody judges them."""

    def __init__(self, **series):
        super().__init__()
        self.series = series

    def on_epoch_end(self, epoch, logs=None):
        for name, values in self.series.items():
            if values[epoch] is not None:
                logs[name] = values[epoch]


def test_early_stopping(fit, model, record):
    """Value, best, wait, sentence; the weights that came back are one more row."""
    values = [0.5, 0.4, 0.45, 0.43]
    stopping = EarlyStopping("score", mode="min", patience=2, restore_best_weights=True)
    fit(model, [Feed(score=values), stopping], epochs=4)
    rows = record.decisions()
    assert [row["verdict"] for row in rows] == [
        "improved", "improved", "waited", "stopped", "restored",
    ]  # fmt: skip
    stopped = rows[3]
    assert (stopped["value"], stopped["best"], stopped["best_epoch"], stopped["wait"]) == (
        0.43, 0.4, 1, 2,
    )  # fmt: skip
    assert stopped["reason"] == "score 0.4300 did not beat 0.4000 (epoch 1); 2 of 2 waits"
    assert rows[4]["reason"] == "weights of epoch 1 restored, whose score 0.4000 is the best"


def test_early_stopping_passes_epochs_over(fit, model, record):
    """Warm-up and a missing metric are skipped, and say so."""
    values = [0.5, None, 0.4]
    stopping = EarlyStopping("score", mode="min", start_from_epoch=1, patience=5)
    fit(model, [Feed(score=values), stopping])
    assert record.verdicts() == ["skipped", "skipped", "improved"]
    first, second, _ = (row["reason"] for row in record.decisions())
    assert "before epoch 1" in first and "there is no score" in second


def test_early_stopping_behind_its_baseline(fit, model, record):
    """Better, but not good enough: the wait goes on, and the sentence says why."""
    stopping = EarlyStopping("score", mode="min", baseline=0.1, patience=5)
    fit(model, [Feed(score=[0.5, 0.4, 0.05]), stopping])
    rows = record.decisions()
    assert [(row["verdict"], row["wait"]) for row in rows] == [
        ("improved", 1), ("improved", 2), ("improved", 0),
    ]  # fmt: skip
    assert rows[1]["reason"].endswith("but not the baseline 0.1; 2 of 5 waits")


def test_a_first_nan_is_kept_as_keras_keeps_it(fit, model, record):
    """NaN first is best for ever in Keras 3.15: the row shows it, and the sentence says it."""
    stopping = EarlyStopping("score", mode="min", patience=2)
    fit(model, [Feed(score=[math.nan, 1.0, 0.5]), stopping])
    assert record.verdicts() == ["improved", "waited", "stopped"]
    assert "cannot beat NaN (epoch 0), which Keras keeps" in record.decisions()[-1]["reason"]
    assert record.decisions()[-1]["best_kind"] == "nan"


def test_plateau_says_rates_before_and_after(fit, model, record):
    """And counts as Keras does, cooldown included."""
    plateau = ReduceLROnPlateau("score", 0.5, patience=1, mode="min", cooldown=2, min_lr=0.04)
    fit(model, [Feed(score=[1.0] * 6), plateau], epochs=6)
    assert record.verdicts() == ["improved", "reduced", "waited", "reduced", "waited", "waited"]
    rates = [(row["lr_before"], row["lr_after"]) for row in record.decisions()]
    assert rates[1] == pytest.approx((0.1, 0.05)) and rates[3] == pytest.approx((0.05, 0.04))
    assert record.decisions()[1]["reason"].endswith("learning rate 0.1 lowered to 0.05")


def test_two_callbacks_that_change_the_rate(fit, model, record):
    """Each change is its own row, under the name of who made it."""
    schedule = LearningRateScheduler(lambda epoch, lr: lr / 2)
    plateau = ReduceLROnPlateau("score", 0.1, patience=1, mode="min")
    fit(model, [Feed(score=[1.0] * 2), schedule, plateau], epochs=2)
    changes = [
        (row["kind"], row["epoch"], row["lr_after"])
        for row in record.decisions()
        if row["lr_before"] != row["lr_after"]
    ]
    assert changes == [
        ("LearningRateScheduler", 0, pytest.approx(0.05)),
        ("LearningRateScheduler", 1, pytest.approx(0.025)),
        ("ReduceLROnPlateau", 1, pytest.approx(0.0025)),
    ]


def test_checkpoints_say_which_file_and_why(fit, model, record):
    """Saved with its path, skipped with what was not good enough."""
    checkpoint = ModelCheckpoint("best.keras", "score", mode="min", save_best_only=True)
    fit(model, [Feed(score=[0.5, 0.6, 0.4]), checkpoint])
    rows = record.decisions()
    assert [(row["verdict"], row["path"]) for row in rows] == [
        ("saved", "best.keras"), ("skipped", None), ("saved", "best.keras"),
    ]  # fmt: skip
    assert rows[1]["reason"] == "score 0.6000 did not beat 0.5000 (epoch 0)"
    assert (rows[2]["best"], rows[2]["best_epoch"]) == (0.4, 2)


def test_nan_stops_at_a_batch(fit, build, record):
    """The batch is named, and the run is stopped early because of it."""
    model = build(optimizer=keras.optimizers.SGD(float("nan")))
    fit(model, [TerminateOnNaN()], epochs=3)
    assert record.verdicts() == ["stopped"]
    assert record.run()["reason"] == "loss is NaN at batch 1, and training stops at once"
    assert record.run()["status"] == "stopped_early"


def test_nan_that_raises(fit, build, record):
    """The decision stays, and the run has failed."""
    model = build(optimizer=keras.optimizers.SGD(float("nan")))
    with pytest.raises(RuntimeError, match="NaN or Inf loss"):
        fit(model, [TerminateOnNaN(raise_error=True)])
    assert record.verdicts() == ["stopped"] and record.run()["status"] == "failed"


def test_the_configuration_is_recorded(fit, model, record):
    """With the direction that Keras found out, whatever the name, and the rules' version."""
    stopping = EarlyStopping("val_accuracy", patience=4, min_delta=-0.25)
    fit(model, [TrackerCallback(), stopping], epochs=1)
    (policy,) = record.ask("SELECT kind, monitor, rules, config FROM policy")
    assert (policy["kind"], policy["monitor"]) == ("EarlyStopping", "val_accuracy")
    assert policy["rules"] == "keras-" + ".".join(keras.__version__.split(".")[:2])
    config = json.loads(policy["config"])
    assert config["mode"] == "max" and config["min_delta"] == 0.25 and config["patience"] == 4


def test_a_direction_that_keras_only_knows_of_the_metric(fit, build, record):
    """A metric of one's own that says which way is better."""

    class Odd(keras.metrics.Mean):
        _direction = "up"

        def update_state(self, y, y_pred, sample_weight=None):
            return super().update_state(keras.ops.mean(y_pred))

    model = build(metrics=[Odd(name="oddity")])
    fit(model, [EarlyStopping("val_oddity", patience=9)], epochs=1)
    assert '"mode":"max"' in record.ask("SELECT config FROM policy")[0]["config"].replace(" ", "")
