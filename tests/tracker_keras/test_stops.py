"""A run that was stopped says so; one that went on after a stop ends as if there had been none."""

from __future__ import annotations

import keras
import pytest

import tracker
from tracker_keras import EarlyStopping, LambdaCallback, TerminateOnNaN, TrackerCallback


class Undo(keras.callbacks.Callback):
    """Lets training continue, whatever the callbacks before it decided."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = False


def never_better():
    return EarlyStopping("val_loss", mode="max", patience=1)


def stopping(kind):
    """A callback of each kind that stops training after epoch 1, or in it."""
    return {
        "EarlyStopping": never_better,
        "LambdaCallback": lambda: LambdaCallback(
            on_epoch_end=lambda epoch, logs: setattr(Stops.model, "stop_training", epoch == 1)
        ),
        "unrecorded": Stop,
    }[kind]()


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 1


class Stops:
    model = None


KINDS = ["EarlyStopping", "LambdaCallback", "unrecorded"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_fit_that_runs_to_its_end(kind, fit, model, record):
    """Its first fit was stopped, the run was not."""
    Stops.model = model
    with tracker.start_run("tl"):
        assert len(fit(model, [TrackerCallback(), stopping(kind)], epochs=6).epoch) == 2
        fit(model, [TrackerCallback()], initial_epoch=2, epochs=4)
    assert (record.run()["status"], record.run()["epochs"]) == ("finished", 4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_fit_that_is_stopped(kind, fit, model, record):
    """The reason is that of the stop which ended the run."""
    Stops.model = model
    with tracker.start_run("tl"):
        fit(model, [TrackerCallback(), never_better()], epochs=6)
        fit(model, [TrackerCallback()], initial_epoch=2, epochs=3)
        second = EarlyStopping("loss", mode="max", patience=2)
        fit(model, [TrackerCallback(), second], initial_epoch=3, epochs=9)
    assert record.run()["status"] == "stopped_early"
    assert record.run()["reason"] == record.decisions()[-1]["reason"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_that_another_callback_undoes(kind, fit, model, record):
    """Until the last epoch."""
    Stops.model = model
    fit(model, [TrackerCallback(), stopping(kind), Undo()], epochs=4)
    assert (record.run()["status"], record.run()["epochs"]) == ("finished", 4)


def test_a_loop_by_hand_that_does_not_heed_a_stop(model, record):
    """It trained all of its epochs."""
    callbacks = keras.callbacks.CallbackList([EarlyStopping("loss", mode="min", patience=1)])
    callbacks.set_model(model)
    callbacks.on_train_begin()
    for epoch, loss in enumerate([1.0, 2.0, 0.5]):
        callbacks.on_epoch_begin(epoch)
        callbacks.on_epoch_end(epoch, {"loss": loss})
    callbacks.on_train_end()
    assert record.verdicts() == ["improved", "stopped", "improved"]
    assert record.run()["status"] == "finished"


def test_a_stop_at_a_batch_is_still_one(fit, build, record):
    """No epoch begins after it."""
    model = build(loss=lambda y, p: keras.ops.sum(p) * float("nan"))
    fit(model, [TerminateOnNaN()], epochs=3)
    assert record.run()["status"] == "stopped_early"
    assert "loss" in record.run()["reason"]


class StopInBatch(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = self.epoch == 1


FIRST = {
    "NaN": (TerminateOnNaN, "loss is NaN at batch"),
    "unrecorded": (StopInBatch, "a callback that is not recorded set stop_training at epoch 1"),
}


@pytest.mark.parametrize("kind", FIRST)
def test_the_reason_is_that_of_the_callback_which_stopped_first(kind, fit, model, record):
    """EarlyStopping, at the end of the same epoch, had nothing left to stop."""

    class Spoil(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1 and kind == "NaN":
                self.model.set_weights([weight * float("nan") for weight in model.get_weights()])

    first, reason = FIRST[kind]
    fit(model, [TrackerCallback(), Spoil(), first(), never_better()], epochs=6)
    assert record.run()["reason"].startswith(reason)
    assert record.verdicts("EarlyStopping")[-1] == "stopped"


def test_the_reason_is_not_that_of_a_stop_which_was_undone(fit, model, record):
    """Two stop at the end of one epoch, and a callback between them takes the first one back."""
    later = EarlyStopping("val_accuracy", mode="min", baseline=-1.0, patience=2)
    fit(model, [never_better(), Undo(), later], epochs=6)
    assert record.run()["reason"].startswith("val_accuracy")
