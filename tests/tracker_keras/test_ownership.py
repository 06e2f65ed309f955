"""One training is one run, whatever callbacks are in its list and whatever they train themselves."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

import tracker
from tracker_keras import (
    BackupAndRestore,
    EarlyStopping,
    History,
    ModelCheckpoint,
    TrackerCallback,
)


def wanted(**more):
    return TrackerCallback("mine", name="wanted", params={"a": 1}, tags=["t"], **more)


def names(record):
    return [(run["experiment"], run["name"]) for run in record.runs()]


# A list that is made beforehand


@pytest.mark.parametrize("nested", [False, True])
def test_a_list_that_is_handed_to_fit(nested, fit, model, record, data):
    """Its TrackerCallback says what the run is, wherever it stands, also in a list within it."""
    inner = [EarlyStopping("val_loss"), wanted()]
    members = [keras.callbacks.CallbackList(inner)] if nested else inner
    made = keras.callbacks.CallbackList(members, add_history=True, model=model, epochs=2)
    model.fit(data.x, data.y, validation_data=data.validation, epochs=2, verbose=0, callbacks=made)
    assert names(record) == [("mine", "wanted")]
    assert record.ask("SELECT name FROM param") == [{"name": "a"}]
    assert record.ask("SELECT name FROM tag") == [{"name": "t"}]


def test_a_list_that_is_handed_to_fit_resumes(build, record, data):
    """The same run, and the count of EarlyStopping with it."""

    class Fails(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == fails_at:
                raise RuntimeError("killed")

    for fails_at in (3, None):
        model = build()
        members = [
            EarlyStopping("loss", mode="max", patience=4),
            wanted(resume="auto"),
            BackupAndRestore("b"),
            Fails(),
        ]
        made = keras.callbacks.CallbackList(members, add_history=True, model=model, epochs=9)
        with warnings.catch_warnings():
            try:
                model.fit(data.x, data.y, epochs=9, verbose=0, callbacks=made)
            except RuntimeError:
                assert fails_at is not None
    assert names(record) == [("mine", "wanted")]
    assert [one["epoch"] for one in record.epochs()] == [0, 1, 2, 3, 4]


def test_one_list_for_two_loops_by_hand(model, record):
    """Two runs of the same callback."""
    made = keras.callbacks.CallbackList([History(), TrackerCallback("hand")], model=model)
    for _ in range(2):
        made.on_train_begin()
        made.on_epoch_end(0, {"loss": 1.0})
        made.on_train_end()
    assert [run["experiment"] for run in record.runs()] == ["hand", "hand"]


def test_a_callback_that_evaluates_is_not_the_training(model, data, record):
    """The loop that follows is that of its own TrackerCallback."""
    evaluating = TrackerCallback("eval", name="eval")
    model.evaluate(*data.validation, verbose=0, callbacks=[evaluating])
    train = TrackerCallback("train", name="train")
    callbacks = keras.callbacks.CallbackList([EarlyStopping("loss"), train], model=model)
    callbacks.on_train_begin()
    callbacks.on_epoch_end(0, {"loss": 1.0})
    callbacks.on_train_end()
    model.predict(data.x, verbose=0, callbacks=[evaluating])
    assert names(record) == [("train", "train")]


# Callbacks that look at another model


class OfBase(ModelCheckpoint):
    """Saves a part of what is trained."""

    def __init__(self, base, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.base = base

    def set_model(self, model):
        super().set_model(self.base)


class StopsBase(EarlyStopping):
    """Hands its part to another."""

    def __init__(self, base, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.base = base

    def set_model(self, model):
        super().set_model(self.base)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("by_hand", [False, True])
def test_a_callback_with_a_model_of_its_own(first, by_hand, fit, build, record):
    """Records into the run of the training, its checkpoints among the rest."""
    outer, base = build(), build()
    others = [
        OfBase(base, "o.keras", monitor="loss", mode="min", save_best_only=True),
        StopsBase(base, "loss", mode="min", patience=9),
    ]
    tracking = TrackerCallback("e", name="outer")
    callbacks = [*others, tracking] if first else [tracking, *others]
    if by_hand:
        made = keras.callbacks.CallbackList(callbacks, model=outer)
        made.on_train_begin()
        for epoch in range(3):
            made.on_epoch_begin(epoch)
            made.on_epoch_end(epoch, {"loss": 1.0 - epoch})
        made.on_train_end()
    else:
        fit(outer, callbacks)
    assert names(record) == [("e", "outer")]
    assert len(record.epochs()) == 3
    assert record.epochs()[0]["learning_rate"] == pytest.approx(0.1)
    assert {one["run_id"] for one in record.checkpoints()} == {record.run()["id"]}
    assert set(record.verdicts("EarlyStopping")) == {"improved"}


# Trainings within a training


class Trains(keras.callbacks.Callback):
    """Trains another model, or loops over callbacks by hand, at a hook of the outer training."""

    def __init__(self, hook, train):
        super().__init__()
        setattr(self, hook, lambda *args, **kwargs: train())


HOOKS = ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end"]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("by_hand", [False, True])
def test_a_training_within_a_training_in_a_block(hook, by_hand, fit, build, record):
    """Is a run of its own below the block's; the outer one keeps its epochs and its run."""

    def train():
        inner = [EarlyStopping("loss", mode="min", patience=9)]
        if not by_hand:
            fit(build(optimizer=keras.optimizers.SGD(0.02)), inner, epochs=2)
            return
        made = keras.callbacks.CallbackList(inner, model=build())
        made.on_train_begin()
        for epoch in range(2):
            made.on_epoch_begin(epoch)
            made.on_epoch_end(epoch, {"loss": 1.0})
        made.on_train_end()

    with warnings.catch_warnings(), tracker.start_run("block", name="blk") as block:
        warnings.simplefilter("error", UserWarning)
        outer = [Trains(hook, train), TrackerCallback(), EarlyStopping("val_loss", patience=9)]
        fit(build(), outer, epochs=3)
    first, *others = record.runs()
    assert (first["name"], first["epochs"], first["status"]) == ("blk", 3, "finished")
    assert {(run["parent_id"], run["epochs"]) for run in others} == {(block.id, 2)}
    assert record.ask("SELECT count(*) AS n FROM epoch WHERE superseded") == [{"n": 0}]
    rates = record.ask("SELECT learning_rate FROM epoch WHERE run_id = ?", block.id)
    assert [one["learning_rate"] for one in rates] == pytest.approx([0.1] * 3)


# Who says what the run is


def test_a_silent_run_is_joined_by_a_callback_that_resumes(fit, model, record):
    """As on the ranks that record nothing."""
    with tracker.start_run("outer", recording=False) as silent:
        fit(model, [cb := TrackerCallback(resume="auto"), EarlyStopping("loss")], epochs=1)
        fit(model, [TrackerCallback(resume="gone", name="x")], epochs=1)
    assert cb.run is silent


@pytest.mark.parametrize("more", [{"name": "b"}, {"params": {"b": 2}}, {"resume": "auto"}])
def test_a_second_callback_with_other_arguments_is_named(more, fit, model, record):
    """The first one's count."""
    with pytest.warns(
        UserWarning, match=rf"several TrackerCallbacks.*{next(iter(more))}.*not used"
    ):
        fit(model, [wanted(), TrackerCallback(**more)], epochs=1)
    assert names(record) == [("mine", "wanted")]


def test_a_second_callback_that_says_the_same_is_not_named(fit, model, record):
    """It asks for nothing that is not so."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(model, [wanted(log_every=1), TrackerCallback(log_every=1), wanted()], epochs=1)
    (series,) = record.ask("SELECT count(*) AS n FROM series WHERE name = 'loss'")
    assert series["n"] == 1
    assert len(tracker.metrics("wanted", names="loss")) == 3


def test_a_run_is_started_with_all_that_a_run_can_be_started_with(fit, model, record, capsys):
    """Where it records is said once, unless ``verbose=0``."""
    given = {"monitor": "loss", "mode": "max", "keep": "run", "price_per_hour": 2.5}
    fit(model, [wanted(**given, verbose=0)], epochs=1)
    assert capsys.readouterr().err == ""
    fit(model, [wanted()], epochs=1)
    fit(model, [wanted()], epochs=1)
    assert capsys.readouterr().err.count("local-tracker: run wanted is recorded in ") == 1
    runs = record.ask("SELECT price_per_hour AS price FROM run ORDER BY started")
    assert [run["price"] for run in runs] == [2.5, None, None]
    (judged,) = record.ask("SELECT name, mode FROM metric_definition WHERE monitor")
    assert (judged["name"], judged["mode"]) == ("loss", "max")


# A fit that does not come to its callbacks


def wrong_shape(model, callbacks):
    model.fit(np.ones((8, 3), "float32"), np.ones(8), verbose=0, callbacks=callbacks)


def wrong_lengths(model, callbacks):
    model.fit(np.ones((8, 64), "float32"), np.ones(7), verbose=0, callbacks=callbacks)


def not_compiled(model, callbacks):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).fit(
        np.ones((4, 2)), np.ones(4), verbose=0, callbacks=callbacks
    )


def no_data(model, callbacks):
    model.fit(None, None, verbose=0, callbacks=callbacks)


@pytest.mark.parametrize("fails", [wrong_shape, wrong_lengths, not_compiled, no_data])
def test_a_fit_that_raises_before_it_begins(fails, model, record):
    """Is a failed run with the exception's text."""
    with pytest.raises(Exception) as raised:
        fails(model, [EarlyStopping("loss"), wanted()])
    run = record.run()
    assert (run["experiment"], run["name"], run["status"]) == ("mine", "wanted", "failed")
    assert run["error"].startswith(type(raised.value).__name__)
    assert tracker.active_run() is None


def test_a_fit_that_raises_before_it_begins_in_a_block(fit, model, record):
    """The block judges, and what it has recorded stays."""
    with tracker.start_run("block"):
        fit(model, [TrackerCallback()], epochs=2)
        with pytest.raises(ValueError):
            wrong_lengths(model, [TrackerCallback()])
    assert (record.run()["status"], record.run()["epochs"]) == ("finished", 2)
    assert record.ask("SELECT count(*) AS n FROM epoch WHERE superseded") == [{"n": 0}]


def test_a_resume_that_raises_before_it_begins(fit, model, record):
    """Costs the run nothing."""
    fit(model, [wanted()], epochs=2)
    with pytest.raises(ValueError):
        wrong_lengths(model, [TrackerCallback(resume="wanted")])
    assert (record.run()["status"], record.run()["epochs"]) == ("finished", 2)
