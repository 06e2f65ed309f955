"""Trainings with Keras and with PyTorch that record beside a plain loop until they are killed."""

from __future__ import annotations

from typing import Any

import keras
import torch
import torch._dynamo  # an optimizer's first step imports it; loaded before forks
from sklearn.datasets import load_wine

import tracker_keras
import tracker_torch
from tests.faults.works import acknowledge

# A thread of torch's would not be there after a fork.
torch.set_num_threads(1)
X, Y = load_wine(return_X_y=True)
X, Y = ((X - X.mean(0)) / X.std(0)).astype("float32"), Y[:, None].astype("float32")
FOREVER = 10_000


class Acknowledge(keras.callbacks.Callback):
    """Stands last: all callbacks of an epoch have returned."""

    def __init__(self, recorded: tracker_keras.TrackerCallback) -> None:
        super().__init__()
        self.recorded = recorded

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Acknowledge the epoch."""
        assert logs is not None and self.recorded.run is not None
        acknowledge(self.recorded.run.id, epoch, logs["loss"])


def with_keras(name: str, epochs: int = FOREVER) -> None:
    """Fit a small model, with a checkpoint an epoch, of which three are kept; go on where an earlier one was killed."""
    model = keras.Sequential([keras.Input((X.shape[1],)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    recorded = tracker_keras.TrackerCallback("fault", name, resume="auto", system_metrics=False)
    saved = tracker_keras.ModelCheckpoint(
        f"ckpt-{name}/{{epoch}}.weights.h5", monitor="loss", save_weights_only=True, keep=3
    )
    callbacks = [recorded, saved, Acknowledge(recorded)]
    model.fit(X, Y, batch_size=len(X), epochs=epochs, verbose=0, callbacks=callbacks)


def with_torch(name: str, epochs: int = FOREVER) -> None:
    """Train such a model in a loop."""
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    model = torch.nn.Linear(X.shape[1], 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    saved = tracker_torch.ModelCheckpoint(f"ckpt-{name}/{{epoch}}.pt", monitor="loss", keep=3)
    training = tracker_torch.Training(
        model, optimizer, epochs, experiment="fault", name=name, resume="auto", callbacks=[saved],
        system_metrics=False,
    )  # fmt: skip
    with training:
        for epoch in training.epochs():
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            training.log_epoch(loss=loss.item())
            acknowledge(training.run.id, epoch, loss.item())


def everything() -> None:
    """Do both once."""
    with_keras("keras", epochs=4)
    with_torch("torch", epochs=4)
