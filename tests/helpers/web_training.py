"""A real training that a page follows: scikit-learn's digits, a small network, early stopping, files."""

from __future__ import annotations

import sys
import time

import torch
from sklearn.datasets import load_digits

from tracker_torch import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, Training


def train(epochs: int, pause: float) -> None:
    """Train; each epoch takes at least ``pause`` seconds, so that somebody can watch."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = (torch.tensor(part) for part in load_digits(return_X_y=True))
    x, y = x.float() / 16, y.long()
    model = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.8, momentum=0.9)
    loss_of = torch.nn.CrossEntropyLoss()
    callbacks = [
        EarlyStopping("val_loss", patience=5),
        ReduceLROnPlateau("val_loss", patience=2, factor=0.5),
        ModelCheckpoint("kept/{epoch:03d}.pt", monitor="val_loss", save_best_only=True),
    ]
    with Training(
        model, optimizer, epochs=epochs, experiment="digits", name="watched", callbacks=callbacks
    ) as training:
        for _ in training.epochs():
            started = time.monotonic()
            for batch in training.batches(torch.randperm(400).split(50)):
                optimizer.zero_grad()
                loss = loss_of(model(x[batch]), y[batch])
                loss.backward()
                optimizer.step()
                training.log(loss=loss)
            with torch.no_grad():
                val_loss = float(loss_of(model(x[1200:]), y[1200:]))
            time.sleep(max(0.0, pause - (time.monotonic() - started)))
            training.log_epoch(val_loss=val_loss)


if __name__ == "__main__":
    train(int(sys.argv[1]), float(sys.argv[2]))
