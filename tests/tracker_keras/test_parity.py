"""Ours and Keras' own, side by side on the same data and seed: nothing may differ but the record."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

import tracker_keras

Make = Callable[[Any], list[Any]]
SIMPLE = (bool, int, float, str, type(None), list, tuple, set)


def _halve(epoch: int, lr: float) -> float:
    return lr * 0.5 if epoch else lr


CASES: dict[str, Make] = {
    "stop": lambda c: [c.EarlyStopping("val_loss", patience=1, min_delta=0.2, verbose=1)],
    "stop and restore": lambda c: [
        c.EarlyStopping("val_accuracy", patience=1, restore_best_weights=True, verbose=1)
    ],
    "restore without a stop": lambda c: [
        c.EarlyStopping("loss", mode="max", patience=9, restore_best_weights=True, verbose=1)
    ],
    "baseline": lambda c: [c.EarlyStopping("loss", patience=2, baseline=0.1, verbose=1)],
    "warm-up": lambda c: [
        c.EarlyStopping("loss", mode="max", start_from_epoch=2, patience=1, verbose=1)
    ],
    "missing metric": lambda c: [c.EarlyStopping("nothing", mode="min")],
    "unknown direction": lambda c: [c.EarlyStopping("nothing")],
    "unknown mode": lambda c: [c.EarlyStopping("loss", mode="down", patience=9)],
    "plateau": lambda c: [
        c.ReduceLROnPlateau("loss", mode="max", patience=1, factor=0.3, cooldown=1, verbose=1)
    ],
    "plateau at min_lr": lambda c: [
        c.ReduceLROnPlateau("loss", mode="max", patience=0, factor=0.5, min_lr=0.04, verbose=1)
    ],
    "schedule": lambda c: [c.LearningRateScheduler(_halve, verbose=1)],
    "schedule of the epoch": lambda c: [c.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))],
    "schedule of no float": lambda c: [c.LearningRateScheduler(lambda epoch: "0.1")],
    "save each": lambda c: [c.ModelCheckpoint("m/{epoch:02d}-{val_loss:.2f}.keras", verbose=1)],
    "save best": lambda c: [
        c.ModelCheckpoint("best.weights.h5", "loss", 1, True, True, mode="max", save_freq="epoch")
    ],
    "save by batches": lambda c: [
        c.ModelCheckpoint("m/{epoch}-{batch}.weights.h5", save_weights_only=True, save_freq=4)
    ],
    "save behind a threshold": lambda c: [
        c.ModelCheckpoint("t.keras", save_best_only=True, initial_value_threshold=0.0, verbose=1)
    ],
    "save to a folder": lambda c: [_folder("d.keras") or c.ModelCheckpoint("d.keras")],
    "save with an unknown name": lambda c: [c.ModelCheckpoint("{nothing}.keras")],
    "CSV": lambda c: [c.CSVLogger("log.csv"), c.LearningRateScheduler(_halve)],
    "CSV behind the rate": lambda c: [c.LearningRateScheduler(_halve), c.CSVLogger("l.tsv", "\t")],
    "CSV appended": lambda c: [c.CSVLogger("log.csv"), c.CSVLogger("log.csv", append=True)],
    "functions": lambda c: [
        c.LambdaCallback(
            on_train_begin=lambda logs: print("begin"),
            on_epoch_end=lambda epoch, logs: print(epoch, sorted(logs)),
            on_train_batch_end=lambda batch, logs: print(batch),
            on_test_begin=lambda logs: print("test"),
            on_train_end=lambda logs: print("end"),
        )
    ],
    "NaN": lambda c: [_poison(), c.TerminateOnNaN(), c.CSVLogger("log.csv")],
    "NaN raises": lambda c: [_poison(), c.TerminateOnNaN(raise_error=True)],
    "backup": lambda c: [c.BackupAndRestore("backup", delete_checkpoint=False)],
    "backup, twice": lambda c: [
        c.BackupAndRestore("backup", double_checkpoint=True, delete_checkpoint=False, save_freq=2)
    ],
    "backup, deleted": lambda c: [c.BackupAndRestore("backup")],
    "TensorBoard": lambda c: [c.TensorBoard("board", histogram_freq=1, update_freq=2)],
    "history": lambda c: [c.History()],
    "all together": lambda c: [
        c.LearningRateScheduler(_halve),
        c.ReduceLROnPlateau("val_loss", patience=1, min_delta=1.0),
        c.EarlyStopping("val_loss", patience=2, min_delta=0.3, restore_best_weights=True),
        c.ModelCheckpoint("best.keras", save_best_only=True),
        c.CSVLogger("log.csv"),
        c.TerminateOnNaN(),
        c.History(),
    ],
}


def _folder(name: str) -> None:
    Path(name).mkdir()


def _poison() -> Any:
    """Make the third batch's loss NaN, by the weights."""

    def spoil(batch: int, logs: Any = None) -> None:
        if batch == 1:
            model = callback.model
            model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])

    callback = keras.callbacks.LambdaCallback(on_train_batch_begin=spoil)
    return callback


def _outcome(
    source: ModuleType, make: Make, fit: Callable[..., Any], model: Any, capsys: Any
) -> dict[str, Any]:
    folder, here = Path(source.__name__), Path.cwd()
    folder.mkdir()
    os.chdir(folder)
    error, history, callbacks = None, None, make(source)
    capsys.readouterr()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            history = fit(model, callbacks, epochs=4).history
        except Exception as raised:
            error = (type(raised), str(raised))
        finally:
            os.chdir(here)
    return {
        "history": repr(history),
        "error": error,
        "warnings": [str(one.message) for one in warned if one.category is UserWarning],
        "weights": [weight.tobytes() for weight in model.get_weights()],
        "stopped": model.stop_training,
        "rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
        "printed": capsys.readouterr().out,
        "files": _files(folder),
        "attributes": [_attributes(one) for one in callbacks],
    }


def _files(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or name.startswith(".tracker"):
            continue
        if "events.out" in name:  # named after the time and the process
            found[str(path.parent.relative_to(folder))] = "events"
        elif path.suffix in (".csv", ".tsv"):
            found[name] = path.read_bytes()
        elif path.suffix == ".json":
            found[name] = {key: json.loads(path.read_text())[key] for key in ("epoch", "batch")}
        else:
            found[name] = "file"
    return found


def _attributes(callback: Any) -> dict[str, str]:
    """Take what Keras' own instance has of plain values; ours may have more, which is not asked."""
    return {
        name: repr(value) for name, value in vars(callback).items() if isinstance(value, SIMPLE)
    }


@pytest.mark.parametrize("case", CASES)
def test_the_training_is_that_of_keras(case, fit, build, capsys):
    """History, weights, messages, warnings, exceptions, files and attributes are Keras' own."""
    theirs = _outcome(keras.callbacks, CASES[case], fit, build(), capsys)
    ours = _outcome(tracker_keras, CASES[case], fit, build(), capsys)
    for one, other in zip(ours["attributes"], theirs["attributes"], strict=True):
        assert {name: one[name] for name in other} == other
    del ours["attributes"], theirs["attributes"]
    assert ours == theirs


@pytest.mark.parametrize("name", [n for n in tracker_keras.__all__ if hasattr(keras.callbacks, n)])
def test_arguments_and_defaults_are_those_of_keras(name):
    """A call that Keras takes means the same here; `keep` and `background` alone are ours, by name only."""
    ours = inspect.signature(getattr(tracker_keras, name)).parameters
    theirs = inspect.signature(getattr(keras.callbacks, name)).parameters
    added = {"keep", "background"}
    shared = {key: (one.kind, one.default) for key, one in ours.items() if key not in added}
    assert list(shared.items()) == [(key, (one.kind, one.default)) for key, one in theirs.items()]
    assert issubclass(getattr(tracker_keras, name), getattr(keras.callbacks, name))


def test_recording_never_changes_a_training(fit, build, same_weights):
    """Same seed, with our callbacks and with none: bit-equal weights."""
    with_ours, without = build(), build()
    fit(with_ours, [tracker_keras.TrackerCallback(log_every=1), *CASES["history"](tracker_keras)])
    fit(without)
    assert same_weights(with_ours, without)


@pytest.mark.parametrize(
    "name", ["TrackerCallback", "EarlyStopping", "ReduceLROnPlateau", "History"]
)
def test_no_batch_hook(name):
    """Keras dispatches asynchronously only where no callback has a batch hook."""
    callback = getattr(tracker_keras, name)()
    hooks = [hook for hook in dir(keras.callbacks.Callback) if "batch" in hook]
    assert all(getattr(getattr(callback, hook), "_is_default", False) for hook in hooks)
