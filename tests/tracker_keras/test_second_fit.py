"""A second `fit` in one run adds to the first one, or supersedes what it repeats and says so."""

from __future__ import annotations

import warnings

import keras
import pytest

import tracker
from tracker_keras import EarlyStopping, ReduceLROnPlateau, TrackerCallback


def test_two_fits_in_one_run(fit, model, record):
    """The second supersedes the epochs that it repeats, says so, and goes on from the others."""
    with tracker.start_run("block"):
        fit(model, [TrackerCallback()], epochs=2)
        with pytest.warns(
            UserWarning, match=r"at epoch 1 .* up to 1: .* initial_epoch=2, epochs=2 "
        ):
            fit(model, [TrackerCallback()], epochs=3, initial_epoch=1)
    assert [(one["attempt"], one["epoch"]) for one in record.epochs()] == [(1, 0), (2, 1), (2, 2)]


def test_a_second_fit_that_goes_on_repeats_nothing(fit, model, record, recwarn):
    """As its warning advises."""
    with tracker.start_run("block"):
        fit(model, [TrackerCallback()], epochs=2)
        fit(model, [TrackerCallback()], epochs=3, initial_epoch=2)
    assert [one["epoch"] for one in record.epochs()] == [0, 1, 2]
    assert not [one for one in recwarn if "superseded" in str(one.message)]


@pytest.mark.parametrize("begins", [0, 1, 2])
def test_a_second_fit_with_other_settings_resumes_nothing_and_says_nothing(
    begins, fit, build, caplog, recwarn
):
    """Neither of its callbacks, nor of what it was called with, nor of params; a resume does."""

    def train(first, number):
        callbacks = [
            TrackerCallback(params={"size": 8 * number}),
            EarlyStopping("val_loss", patience=number),
            ReduceLROnPlateau("val_loss", patience=number),
        ]
        fit(build(), callbacks, epochs=first + 2, initial_epoch=first, batch_size=8 * number)

    with tracker.start_run(name="block"):
        train(0, 1)
        train(begins, 9)
    assert "resumes with" not in caplog.text
    with tracker.start_run(resume="block"):
        train(begins + 2, 4)
    # In one attempt the first callback of a process is the first of the one before.
    before = 1 if begins == 2 else 9
    assert f"EarlyStopping resumes with patience=4; the attempt before had {before}" in caplog.text
    assert "params.size=32 (it had 72)" in caplog.text and "iterations" not in caplog.text


@pytest.mark.parametrize(("begins", "steps"), [(2, 16), (1, 12), (0, 12)])
def test_the_steps_of_a_second_fit_go_on_where_its_first_epoch_does(build, data, begins, steps):
    """A model compiled anew, as for fine-tuning, counts from 0; the run does not."""
    model = build()
    with tracker.start_run(name="r"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the epochs that are repeated
        for first, last in ((0, 2), (begins, max(begins + 2, 3))):
            model.compile("sgd", "sparse_categorical_crossentropy")
            track = [keras.callbacks.Callback(), TrackerCallback(log_every=1)]
            model.fit(
                data.x[:16], data.y[:16], 4, last, verbose=0, initial_epoch=first, callbacks=track
            )
    assert tracker.metrics("r", names="loss")["step"].tolist() == list(range(1, steps + 1))
