"""With a run's own settings a replay says what Keras' callbacks decided."""

from __future__ import annotations

import keras
import pytest

import tracker
from tracker.policies import Retention
from tracker_keras import ModelCheckpoint, ReduceLROnPlateau

SERIES = [9, 8, 8.5, 7, 7.5, 7.6, 5, 6, 6.5, 5.5, 5.2, 5.1, 1, 2, 3, 4, 4.5, 4.8]
BROKEN = [float("nan"), 3, 2, None, 2, 1.5, 1.5, 1.4]


class Feed(keras.callbacks.Callback):
    """Puts chosen values into the logs, before anybody judges them."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        if self.values[epoch] is not None:
            logs["score"] = self.values[epoch]


def train(fit, model, values, callback):
    """Train under a run of the name "own", with one callback."""
    with tracker.start_run("keras", name="own"):
        fit(model, [Feed(values), callback], epochs=len(values))


@pytest.mark.parametrize(
    ("settings", "stay"),
    [
        ({"save_best_only": True}, [0, 1, 3, 6, 12]),
        ({"save_best_only": True, "filepath": "best.weights.h5"}, [12]),
        ({"keep": 2}, [12, 13, 17]),
        ({"keep": 0}, [12, 17]),
        ({"keep": Retention(best=2, last=2, every=10)}, [9, 12, 13, 16, 17]),
        ({"keep": Retention(size=0)}, [12, 17]),
        ({}, list(range(18))),
    ],
)
@pytest.mark.parametrize("values", [SERIES, BROKEN])
def test_model_checkpoint(fit, model, values, settings, stay):
    """Saves, prunes and what stays are those of the record; the best and the last are never pruned."""
    given = {"filepath": "ck/{epoch}.weights.h5", "save_weights_only": True, **settings}
    train(fit, model, values, ModelCheckpoint(monitor="score", mode="min", **given))
    files = tracker.replay("own", policy="ModelCheckpoint")
    told = tracker.decisions("own")
    pruned = sorted(files.loc[files["verdict"] == "pruned", "gone_epoch"])
    assert files["epoch"].tolist() == told.loc[told["verdict"] == "saved", "epoch"].tolist()
    assert pruned == told.loc[told["verdict"] == "pruned", "epoch"].tolist()
    if values is SERIES:
        assert files.loc[files["verdict"] == "saved", "epoch"].tolist() == stay


def test_a_nan_is_not_the_best_file(fit, model):
    """With keep=0 only the best and the last stay, and a NaN is neither for long."""
    settings = {"save_weights_only": True, "mode": "min", "keep": 0}
    callback = ModelCheckpoint("{epoch}.weights.h5", "score", **settings)
    train(fit, model, [float("nan"), 2.0, 1.0, 3.0], callback)
    files = tracker.replay("own", policy="ModelCheckpoint").set_index("epoch")
    told = tracker.decisions("own").query("verdict == 'pruned'")
    assert files["gone_epoch"].dropna().tolist() == told["epoch"].tolist() == [1, 2]


def test_reduce_lr_on_plateau(fit, model):
    """It starts at the recorded learning rate, ends at min_lr, and cools down in between."""
    settings = {"mode": "min", "factor": 0.5, "patience": 1, "cooldown": 1, "min_lr": 0.03}
    train(fit, model, [1.0] * 10, ReduceLROnPlateau("score", **settings))
    made = tracker.replay("own", policy="ReduceLROnPlateau")
    told = tracker.decisions("own").query("verdict == 'reduced'")
    for column in ("epoch", "reason", "lr_before", "lr_after"):
        assert made[column].tolist() == told[column].tolist()
