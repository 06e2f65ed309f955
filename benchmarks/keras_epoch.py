"""What `TrackerCallback` costs an epoch of Keras' ``fit``, beside no callback and Keras' CSVLogger.

Digits, one model, `fit` compiled once; the three take turns in a random order each round, so that
the ratio of a round holds when the machine's speed drifts. Median and quartiles over the rounds.

    python -m benchmarks.keras_epoch [--quick]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from sklearn.datasets import load_digits

from benchmarks import page
from tracker_keras import TrackerCallback

EPOCHS, ROUNDS, BATCH = 10, 40, 32
WAYS: dict[str, Callable[[], list[Any]]] = {
    "no callback": list,
    "CSVLogger of Keras": lambda: [keras.callbacks.CSVLogger("log.csv")],
    "TrackerCallback": lambda: [TrackerCallback("bench")],
}


class Clock(keras.callbacks.Callback):
    """Takes the time between the begins of epochs: all of an epoch, its callbacks included."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Tick."""
        self.ticks.append(time.perf_counter())

    def on_train_end(self, logs: Any = None) -> None:
        """Tick once more."""
        self.ticks.append(time.perf_counter())


def build() -> Any:
    """A net as people train it on images of this size."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def rounds(number: int) -> dict[str, list[float]]:
    """Return the seconds an epoch took, per way, a value a round."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32").reshape(-1, 8, 8, 1)
    model = build()
    took: dict[str, list[float]] = {name: [] for name in WAYS}
    for one in range(number + 1):  # the first is for warming up
        for name in random.sample(list(WAYS), len(WAYS)):
            clock = Clock()
            model.fit(
                x, y, BATCH, EPOCHS, verbose=0, shuffle=False, callbacks=[clock, *WAYS[name]()]
            )
            if one:
                took[name].append((clock.ticks[-1] - clock.ticks[0]) / EPOCHS)
    return took


def main() -> None:
    """Measure, print and write the page's section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, and no page")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        took = rounds(5 if quick else ROUNDS)
    bare = took["no callback"]
    rows = []
    for name, seconds in took.items():
        ratios = [one / base for one, base in zip(seconds, bare, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        epoch = statistics.median(seconds) * 1e3
        rows.append([name, f"{epoch:.1f} ms", f"{middle:.3f}", f"{low:.3f} – {high:.3f}"])
    text = page.table(["callbacks", "an epoch", "ratio, median", "quartiles"], rows)
    print(text)
    if not quick:
        backend = keras.backend.backend()
        page.write("keras_epoch", f"## An epoch of Keras ({backend})\n\n{text}\n\n{page.machine()}")


if __name__ == "__main__":
    main()
