"""The Keras and the torch callbacks, given the same logs through their hooks, record the same rows."""

from __future__ import annotations

import math
import os
import random
import sqlite3
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy
import pytest
import torch

import tracker
import tracker_keras
import tracker_torch

NAN, INF = math.nan, math.inf
RULES = {"rules": "keras-3.15"}
HOOKS = ("on_epoch_begin", "on_epoch_end")

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "stop": ("EarlyStopping", {"patience": 2}),
    "stop by a margin": ("EarlyStopping", {"patience": 3, "min_delta": 0.05}),
    "stop, higher is better": ("EarlyStopping", {"patience": 3, "mode": "max"}),
    "stop behind a baseline": ("EarlyStopping", {"patience": 3, "baseline": 0.4}),
    "stop after a warm-up": ("EarlyStopping", {"patience": 2, "start_from_epoch": 3}),
    "restore": ("EarlyStopping", {"patience": 4, "restore_best_weights": True}),
    "plateau": ("ReduceLROnPlateau", {"patience": 2, "factor": 0.5}),
    "plateau with cooldown": ("ReduceLROnPlateau", {"patience": 1, "cooldown": 2, "min_lr": 0.01}),
    "save every epoch": ("ModelCheckpoint", {"filepath": "{epoch:02d}"}),
    "save the best": ("ModelCheckpoint", {"filepath": "best", "save_best_only": True}),
    "save beyond a threshold": (
        "ModelCheckpoint",
        {"filepath": "best", "save_best_only": True, "initial_value_threshold": 0.5},
    ),
    "schedule": ("LearningRateScheduler", {"schedule": lambda epoch, lr: lr * 0.5}),
}
SPECIAL = [
    [NAN, 1.0, 0.5, 0.2, 0.1],
    [0.5, NAN, 0.4, NAN, NAN, NAN, NAN],
    [INF, -INF, 0.0, -0.0, 1.0, 1.0],
    [0.5, 0.5000000005, 0.4999999999, 0.5, 0.5, 0.5],
    [None, 0.3, None, 0.4, 0.5, None, 0.6, 0.7],
]


def series() -> list[list[float | None]]:
    """Random walks of validation losses, and those that are known to be delicate."""
    draw = random.Random(15)
    walks = []
    for _ in range(4):
        value = 1.0
        walks.append([value := round(value + draw.uniform(-0.12, 0.1), 3) for _ in range(14)])
    return walks + SPECIAL


def logs_of(value: float | None) -> dict[str, float]:
    return {"loss": 0.25} if value is None else {"loss": 0.25, "val_loss": value}


def with_keras(kind: str, arguments: dict[str, Any], values: list[float | None]) -> None:
    """Play ``fit`` for one callback."""
    if "filepath" in arguments:
        arguments = {**arguments, "filepath": f"ck/{arguments['filepath']}.keras"}
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.stop_training = False
    callback = getattr(tracker_keras, kind)(**arguments)
    hooks = keras.callbacks.CallbackList([callback], model=model, epochs=len(values), steps=1)
    hooks.on_train_begin()
    for epoch, value in enumerate(values):
        hooks.on_epoch_begin(epoch)
        hooks.on_epoch_end(epoch, logs_of(value))
        if model.stop_training:
            break
    hooks.on_train_end()


def with_torch(kind: str, arguments: dict[str, Any], values: list[float | None]) -> None:
    """The same for a torch callback, with Keras' rules."""
    if "filepath" in arguments:
        arguments = {**arguments, "filepath": f"ck/{arguments['filepath']}.pt"}
    model = torch.nn.Linear(2, 1)
    rules = {} if kind == "LearningRateScheduler" else RULES
    callback = getattr(tracker_torch, kind)(**arguments, **rules)
    hooks = tracker_torch.CallbackList([callback], model, torch.optim.SGD(model.parameters(), 0.1))
    hooks.on_train_begin()
    for epoch, value in enumerate(values):
        hooks.on_epoch_begin(epoch)
        hooks.on_epoch_end(epoch, logs_of(value))
        if hooks.stop_training:
            break
    hooks.on_train_end()


def recorded(play: Any, folder: Path, case: str, values: list[float | None]) -> list[Any]:
    """Return the decision rows, the run's end, and its epochs."""
    folder.mkdir()
    os.chdir(folder)
    with tracker.start_run("both"):
        play(*CASES[case], values)
    connection = sqlite3.connect(".tracker/tracker.db")
    try:
        rows = connection.execute(
            "SELECT epoch, kind, decision.monitor, value, value_kind, best, best_kind, best_epoch, wait, "
            "verdict, reason, path, lr_before, lr_after FROM decision JOIN policy ON policy.id = policy_id "
            "ORDER BY decision.id"
        ).fetchall()
        ends = connection.execute("SELECT status, reason, epochs FROM run").fetchall()
        metrics = connection.execute(
            "SELECT epoch, name, value, value_kind FROM metric JOIN epoch ON epoch.id = epoch_id "
            "ORDER BY epoch, position"
        ).fetchall()
    finally:
        connection.close()
    return [[tuple(_plain(cell) for cell in row) for row in part] for part in (rows, ends, metrics)]


def _plain(cell: Any) -> Any:
    if isinstance(cell, float) and math.isfinite(cell):
        return float(f"{cell:.6e}")  # Keras keeps learning rates in single precision
    return cell.replace(".keras", ".pt") if isinstance(cell, str) else cell


@pytest.mark.filterwarnings("ignore:.*val_loss.*")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("values", series(), ids=lambda values: str(values[:2]))
def test_both_adapters_record_the_same_rows(folder: Path, case: str, values: list[Any]) -> None:
    theirs = recorded(with_keras, folder / "keras", case, values)
    ours = recorded(with_torch, folder / "torch", case, values)
    assert ours[0] and ours == theirs


def training(**arguments: Any) -> Any:
    return tracker_torch.Training(torch.nn.Linear(2, 1), None, 1, **arguments)


def test_both_take_and_refuse_the_same_log_every() -> None:
    assert tracker_keras.TrackerCallback(log_every=numpy.int64(3)).log_every == 3
    training(log_every=numpy.int64(3))
    said = []
    for make in (tracker_keras.TrackerCallback, training):
        with pytest.raises(tracker.BadValue, match="log_every is 0: it must be") as refused:
            make(log_every=0)
        said.append(str(refused.value))
    assert said[0] == said[1]


def averages_of(logger: Any) -> dict[str, float]:
    """Hand an epoch of batches to a BaseLogger."""
    logger.on_epoch_begin(0)
    for batch, more in enumerate(
        [{"size": 2, "num_steps": 3}, {"size": 1}, {"num_steps": 1}, {"size": 0}]
    ):
        logs = {"loss": [1.0, 8.0, 2.0, NAN][batch], "last": batch, "batch": batch, **more}
        logger.on_train_batch_end(batch, logs)
    logger.on_epoch_end(0, logs := {})
    return logs


def test_both_average_the_same_names_with_the_same_weights() -> None:
    keras_callback = tracker_keras.BaseLogger(stateful_metrics=["last"])
    keras_callback.set_model(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    for logger in (keras_callback, tracker_torch.BaseLogger(stateful_metrics=["last"])):
        assert averages_of(logger) == {"loss": 2.0, "last": 2.0}
        with pytest.raises(tracker.BadValue, match="size is -1"):
            logger.on_train_batch_end(0, {"size": -1, "loss": 1.0})


def begin_keras(**start: Any) -> None:
    """Begin a Keras training, as ``fit`` would."""
    callback = tracker_keras.TrackerCallback(**start)
    callback.set_model(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    callback.on_train_begin()


def begin_torch(**start: Any) -> None:
    """Begin a torch training."""
    next(training(**start).epochs())


def told(begin: Any, start: dict[str, Any], **outer: Any) -> list[str]:
    """Begin within a run, and return the warnings."""
    with (
        warnings.catch_warnings(record=True) as caught,
        tracker.start_run("digits", "mine", database="a.db", **outer),
    ):
        warnings.simplefilter("always")
        begin(**start)
    return [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("start", "late"),
    [
        ({}, {}),
        ({"params": {"lr": 0.1}, "tags": ["a"]}, {}),
        ({"experiment": "digits", "name": "mine", "database": "a.db"}, {}),
        ({"experiment": "iris", "name": "other"}, {"experiment": "'iris'", "name": "'other'"}),
        ({"database": "b.db", "strict": True}, {"database": "'b.db'", "strict": "True"}),
        ({"database": "postgresql://me:pw@host/db"}, {"database": "'postgresql://[hidden]@host/db'"}),
    ],
)  # fmt: skip
def test_an_argument_that_comes_too_late_is_told(
    start: dict[str, Any], late: dict[str, str]
) -> None:
    """In both alike, and only where the active run is not what it asks for."""
    for who, begin in (("TrackerCallback", begin_keras), ("Training", begin_torch)):
        assert told(begin, start) == [
            f"{who}({name}={value}) is not used: run mine is active already. "
            f"Give {name} to the tracker.start_run that started it, or leave it out."
            for name, value in late.items()
        ]


@pytest.mark.parametrize("begin", [begin_keras, begin_torch])
@pytest.mark.parametrize("outer", [{"strict": True}, {"strict": True, "recording": False}])
def test_what_the_run_has_already_is_no_news(begin: Any, outer: dict[str, Any]) -> None:
    assert told(begin, {"strict": True, "database": "a.db"}, **outer) == []


@pytest.mark.parametrize("begin", [begin_keras, begin_torch])
def test_a_resume_that_comes_too_late_is_refused(begin: Any) -> None:
    with (
        tracker.start_run(),
        pytest.raises(tracker.UsageError, match=r"resume='auto'.*is active already"),
    ):
        begin(resume="auto", params={"lr": 0.1})
    assert list(tracker.runs().filter(like="lr")) == []
