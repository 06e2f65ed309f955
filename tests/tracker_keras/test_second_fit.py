"""A second `fit` in one run adds to the first one, or supersedes what it repeats and says so."""

from __future__ import annotations

import warnings

import keras
import pytest

import tracker
from tracker_keras import TrackerCallback


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
