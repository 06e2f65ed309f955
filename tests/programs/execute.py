"""Run programs with the real callbacks: ``python -m tests.programs.execute FIRST STOP FOLDER``."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch

import tracker
import tracker_keras
import tracker_torch
from tests.programs.program import Block, Programs, Statement, Threads, Train, Try

ERRORS = {"ValueError": ValueError, "KeyboardInterrupt": KeyboardInterrupt}
CAUGHT = (Exception, KeyboardInterrupt)
BATCHES = 2


def execute(program: Sequence[Statement]) -> None:
    """Run a script; an error that nobody catches ends it."""
    with suppress(*CAUGHT):
        for statement in program:
            _execute(statement)


def _execute(statement: Statement) -> None:
    match statement:
        case Block():
            with tracker.start_run("programs", name=statement.name):
                for inner in statement.body:
                    _execute(inner)
                if statement.error:
                    raise ERRORS[statement.error]
        case Train(framework="torch"):
            _train_torch(statement)
        case Train():
            _train_keras(statement)
        case Threads():
            threads = [threading.Thread(target=execute, args=(one,)) for one in statement.bodies]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        case Try():
            with suppress(*CAUGHT):
                _execute(statement.body)


def _within(train: Train, ordinal: int) -> None:
    """Do what a training does in one of its epochs besides training."""
    for at, inner in train.inner:
        if at == ordinal:
            _execute(inner)
    if ordinal == train.at and train.ends in ERRORS:
        raise ERRORS[train.ends]


def _train_torch(train: Train) -> None:
    callbacks: list[Any] = []
    if train.resume:
        callbacks.append(tracker_torch.BackupAndRestore(f"backup-{train.name}"))
    if train.ends == "stopped":
        callbacks.append(tracker_torch.EarlyStopping("mark", mode="min", patience=train.at))
    model = torch.nn.Linear(1, 1)
    training = tracker_torch.Training(
        model, torch.optim.SGD(model.parameters()), train.epochs, experiment="programs",
        name=train.name, resume="auto" if train.resume else None, callbacks=callbacks,
        log_every=1, progress=False,
    )  # fmt: skip
    if train.in_block:
        with training:
            _loop(training, train)
    else:
        _loop(training, train)


def _loop(training: Any, train: Train) -> None:
    for ordinal, epoch in enumerate(training.epochs()):
        for _ in training.batches(range(BATCHES)):
            training.log(loss=1.0)
        _within(train, ordinal)
        if ordinal == train.at and train.ends == "left":
            break
        training.log_epoch(mark=train.value(epoch))


def _train_keras(train: Train) -> None:
    class Mark(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.ordinal = 0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            _within(train, self.ordinal)
            self.ordinal += 1
            logs["mark"] = train.value(epoch)

    resume = "auto" if train.resume else None
    callbacks = [
        Mark(),
        tracker_keras.TrackerCallback("programs", train.name, resume=resume, log_every=1),
    ]
    if train.resume:
        callbacks.append(tracker_keras.BackupAndRestore(f"backup-{train.name}"))
    if train.ends == "stopped":
        callbacks.append(tracker_keras.EarlyStopping("mark", mode="min", patience=train.at))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.zeros((BATCHES, 1))
    model.fit(x, x, batch_size=1, epochs=train.epochs, callbacks=callbacks, verbose=0)


def main(start: int, stop: int, folder: Path) -> None:
    """Run the program of each seed in a folder of its own, in this process."""
    for seed in range(start, stop):
        place = folder / str(seed)
        place.mkdir()
        os.chdir(place)
        os.environ["TRACKER_DATABASE_URL"] = f"sqlite:///{place}/tracker.db"
        execute(Programs(seed).program())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
