"""``tracker export RUN --csv`` is cell for cell what Keras' CSVLogger writes of the same fit."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import keras
import numpy as np
import pytest

import tracker_keras
from tracker_keras import TrackerCallback


class Add(keras.callbacks.Callback):
    """Puts values into the logs of each epoch, as people do."""

    def __init__(self, *epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self.epochs[epoch % len(self.epochs)])


LOGGED = {
    "nothing": [{}],
    "NaN and infinities": [{"x": math.nan}, {"x": math.inf}, {"x": -math.inf}, {"x": -0.0}],
    "integers": [{"seen": 96, "right": np.int64(7)}, {"seen": 192, "right": np.int32(8)}],
    "flags": [{"warm": True, "cold": np.bool_(False)}],
    "single precision": [{"lr": np.float32(0.01), "half": np.float16(0.1)}],
    "arrays without a dimension": [{"lr": np.asarray(0.01, "float32"), "n": np.asarray(3)}],
    "large and small": [{"a": 1e22, "b": 5e-324, "c": 1e-7}],
    "names": [{"a,b": 1.0, 'say "x"': 2.0, "Z": 3.0, "own": 4.0}],
    "one that fails to come": [{"x": 1.0}, {}, {"x": np.float32(0.3)}],
}


@pytest.mark.parametrize("validation_freq", [1, 2])
@pytest.mark.parametrize("logged", LOGGED)
def test_each_cell_is_the_same(logged, validation_freq, fit, model, folder, cli):
    callbacks = [
        Add(*LOGGED[logged]),
        keras.callbacks.CSVLogger("keras.csv"),
        TrackerCallback(name="a"),
        tracker_keras.CSVLogger("own.csv"),
    ]
    fit(model, callbacks, epochs=4, validation_freq=validation_freq)
    assert cli("export", "a", "--csv", "-o", "exported.csv").exit_code == 0
    exported = Path("exported.csv").read_bytes()
    assert exported == Path("own.csv").read_bytes() == Path("keras.csv").read_bytes()


def test_a_metric_that_keras_drops_because_it_came_late_follows_the_others(fit, model, folder, cli):
    late = Add({}, {"extra": 5}, {})
    loggers = [keras.callbacks.CSVLogger("keras.csv"), TrackerCallback(name="a")]
    fit(model, [late, *loggers], epochs=3, validation_data=None)
    cli("export", "a", "--csv", "-o", "exported.csv")
    expected, rows = (
        list(csv.reader(Path(name).read_text().splitlines()))
        for name in ("keras.csv", "exported.csv")
    )
    assert [row[:-1] for row in rows] == expected
    assert [row[-1] for row in rows] == ["extra", "NA", "5", "NA"]
