"""What trainings with Keras share: a small model, and callbacks around those of a recorder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import torch
import torch._dynamo  # an optimizer's first step imports it; loaded before forks

from tests.faults.recorders.script import Script

torch.set_num_threads(1)


class Before(keras.callbacks.Callback):
    """Puts the metrics of an epoch into its logs."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script = script

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add them, for the callbacks after this one."""
        assert logs is not None
        logs.update(self.script.metrics(epoch))


class After(Before):
    """Notes that all callbacks of an epoch have returned."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Acknowledge the epoch."""
        self.script.acknowledge(epoch)


def fit(script: Script, callbacks: Sequence[Any]) -> None:
    """Fit a small model."""
    os.chdir(script.folder)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.zeros((8, 4))
    callbacks = [Before(script), *callbacks, After(script)]
    model.fit(x, x[:, :1], epochs=script.epochs, verbose=0, callbacks=callbacks)
