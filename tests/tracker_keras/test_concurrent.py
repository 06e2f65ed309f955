"""Fits in executors and in threads that take the context along: each is recorded once, with its own numbers."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import keras
import numpy as np
import pytest

import tracker
from tracker_keras import EarlyStopping, TrackerCallback

X = np.ones((8, 2), "float32")


class Label(keras.callbacks.Callback):
    """Puts a number of its own into the logs, and fails where it is told to."""

    def __init__(self, number, fails):
        super().__init__()
        self.number, self.fails = number, fails

    def on_epoch_end(self, epoch, logs=None):
        if self.fails and epoch == 1:
            raise RuntimeError("out of memory")
        logs["label"] = float(self.number)


def train(number, *, fails=False):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    callbacks = [
        Label(number, fails),
        TrackerCallback("opt", params={"k": number}),
        EarlyStopping("loss", patience=9),
    ]
    with suppress(RuntimeError):
        model.fit(X, X[:, :1], epochs=2, verbose=0, callbacks=callbacks)


def labels(record):
    """Return, by run, its param and the labels of its epochs."""
    rows = record.ask(
        "SELECT r.id, p.text, m.value FROM run r JOIN param p ON p.run_id = r.id JOIN epoch e "
        "ON e.run_id = r.id JOIN metric m ON m.epoch_id = e.id AND m.name = 'label' ORDER BY p.text"
    )
    return [(row["text"], row["value"]) for row in rows]


@pytest.mark.parametrize("around", [False, True])
def test_an_executor_whose_threads_are_used_again_after_a_failure(around, record, folder):
    study = tracker.start_run("study") if around else None
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda k: train(k, fails=k == 1), range(4)))
    if study is not None:
        study.finish()
    assert labels(record) == [
        ("0", 0.0), ("0", 0.0), ("1", 1.0), ("2", 2.0), ("2", 2.0), ("3", 3.0), ("3", 3.0),
    ]  # fmt: skip
    failed = [run for run in record.runs() if run["status"] == "failed"]
    assert len(failed) == 1 and len(record.runs()) == 4 + around


def test_threads_that_take_the_context_along(record, folder):
    """The first fit joins the run around it, the others are its children; none supersedes another's epochs."""

    async def main():
        await asyncio.gather(*(asyncio.to_thread(train, k) for k in range(3)))

    with tracker.start_run("study"):
        asyncio.run(main())
    values = [row["value"] for row in record.ask("SELECT value FROM metric WHERE name = 'label'")]
    assert sorted(values) == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    assert [run["epochs"] for run in record.runs()] == [2, 2, 2]
    assert record.ask("SELECT count(*) AS n FROM epoch WHERE superseded") == [{"n": 0}]
