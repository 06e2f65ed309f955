"""What is written down is what Keras decided: thousands of random series through ours and Keras' own.

The hooks are called as ``fit`` calls them, without the training between. tests/policies pins the
rules to Keras; here the recorded words are compared with those rules as well.
"""

from __future__ import annotations

import functools
import math
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import pytest

import tracker_keras
from tracker.policies import KERAS, Best, EarlyStopping, ReduceLROnPlateau

SERIES = int(os.environ.get("TRACKER_TEST_SERIES", "0")) or (
    150 if keras.backend.backend() == "tensorflow" else 2000  # a comparison takes TensorFlow a ms
)
TIES = [0.5, 0.5000000005, 0.5 + 2**-25, 0.5 - 2**-26, 0.6, 0.4, 0.1, 0.0, math.nan, math.inf]
pytestmark = pytest.mark.filterwarnings("ignore")


class StandIn:
    """As much of a model as the callbacks ask for."""

    def __init__(self, optimizer: Any) -> None:
        self.stop_training = False
        self.optimizer = optimizer
        self.saves = 0

    def get_weights(self) -> list[Any]:
        return []

    def save(self, path: Any, overwrite: bool = True) -> None:
        Path(path).touch()
        self.saves += 1


@functools.cache
def optimizer(number: int) -> Any:
    """Make one of two optimizers, once: that takes longer than a series."""
    return keras.optimizers.SGD(0.1)


def listening(kind: type) -> type:
    """Make a class that notes what it would record."""

    class Listening(kind):  # type: ignore[misc]
        def tracker_decided(self, verdict: str, **facts: Any) -> None:
            self.said = {"verdict": verdict, **facts}

    return Listening


def series(rng: random.Random) -> list[float | None]:
    """Return values of a training: ties, noise, steps, and some that are missing."""
    kind, value, delta = rng.randrange(3), 0.5, rng.choice([1e-4, 0.1])
    found: list[float | None] = []
    for _ in range(14):
        value = (
            rng.choice(TIES),
            rng.uniform(-1, 1),
            value + rng.choice([0, delta, -delta]) * rng.choice([1, 1 + 1e-7, 1 - 1e-7]),
        )[kind]
        found.append(None if rng.random() < 0.05 else value)
    return found


def same(one: Any, other: Any) -> bool:
    """Say whether two values are equal, NaN being equal to NaN."""
    return one == other or repr(one) == repr(other)


def pairs(name: str, seed: int, **options: Any) -> tuple[Any, Any, list[float | None]]:
    """Return ours and Keras' own, both at the start of a training, and a series."""
    both = []
    kinds = (listening(getattr(tracker_keras, name)), getattr(keras.callbacks, name))
    for number, kind in enumerate(kinds):
        optimizer(number).learning_rate = 0.1
        callback = kind(**options)
        callback.set_model(StandIn(optimizer(number)))
        callback.on_train_begin()
        both.append(callback)
    return both[0], both[1], series(random.Random(seed))


def logs_of(monitor: str, value: float | None) -> dict[str, float]:
    return {} if value is None else {monitor: value}


@pytest.fixture(autouse=True)
def disabled(monkeypatch):
    """Nothing is recorded: it is about what would be."""
    monkeypatch.setenv("TRACKER_MODE", "disabled")


def options_of(rng: random.Random) -> dict[str, Any]:
    monitor, mode = rng.choice([("val_loss", "auto"), ("loss", "min"), ("score", "max")])
    return {"monitor": monitor, "mode": mode}


def agree(said: dict[str, Any], verdict: Any) -> None:
    """Compare what was written down with what the rules say; names of other metrics aside."""
    facts = {"verdict": verdict.verdict, **verdict.as_decision()}
    for name in ("verdict", "value", "best", "best_epoch", "wait"):
        assert same(said.get(name), facts[name]), (name, said, facts)
    assert said["reason"] == facts["reason"]


@pytest.mark.parametrize("part", range(2))
def test_early_stopping(part):
    """Attributes and stops are Keras', and each verdict with its sentence is that of the rules."""
    for seed in range(part, SERIES, 2):
        rng = random.Random(seed)
        options = options_of(rng) | {
            "min_delta": rng.choice([0, 1e-4, -0.1]),
            "patience": rng.choice([0, 1, 2, 4]),
            "baseline": rng.choice([None, None, 0.5]),
            "start_from_epoch": rng.choice([0, 0, 2]),
        }
        ours, theirs, values = pairs("EarlyStopping", seed, **options)
        rules = EarlyStopping(**options, rules=KERAS)
        state = rules.initial()
        for epoch, value in enumerate(values):
            for one in (ours, theirs):
                one.on_epoch_end(epoch, logs_of(options["monitor"], value))
            for name in ("wait", "best", "best_epoch", "stopped_epoch"):
                assert same(getattr(ours, name), getattr(theirs, name))
            assert ours.model.stop_training == theirs.model.stop_training
            state, verdict = rules.step(state, epoch, value)
            agree(ours.said, verdict)


@pytest.mark.parametrize("part", range(2))
def test_reduce_lr_on_plateau(part):
    """Counters and learning rates are Keras', and each verdict with its sentence is that of the rules."""
    for seed in range(part, SERIES, 2):
        rng = random.Random(seed)
        options = options_of(rng) | {
            "factor": rng.choice([0.1, 0.5, 0.9]),
            "patience": rng.choice([0, 1, 2]),
            "min_delta": rng.choice([0, 1e-4, 0.1]),
            "cooldown": rng.choice([0, 0, 1, 3]),
            "min_lr": rng.choice([0.0, 0.02]),
        }
        ours, theirs, values = pairs("ReduceLROnPlateau", seed, **options)
        rules = ReduceLROnPlateau(**options, rules=KERAS)
        state, rate = rules.initial(), 0.1
        for epoch, value in enumerate(values):
            for one in (ours, theirs):
                one.on_epoch_end(epoch, logs_of(options["monitor"], value))
            for name in ("wait", "best", "cooldown_counter"):
                assert same(getattr(ours, name), getattr(theirs, name))
            now = float(keras.ops.convert_to_numpy(theirs.model.optimizer.learning_rate))
            state, verdict = rules.step(state, epoch, value, rate)
            rate = verdict.lr_after
            assert ours.said["lr_after"] == now == rate
            if value is not None:
                agree(ours.said, verdict)


@pytest.fixture
def memory():
    """Work where a sync costs nothing, if there is such a place."""
    root = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=root if root.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


def test_model_checkpoint(memory):
    """The best value and the saves are Keras', and each verdict with its sentence is that of the rules."""
    for seed in range(SERIES):
        rng = random.Random(seed)
        options = options_of(rng) | {
            "initial_value_threshold": rng.choice([None, None, 0.5]),
            "save_best_only": True,
        }
        file = {"filepath": str(memory / f"{seed}.keras")}
        ours, theirs, values = pairs("ModelCheckpoint", seed, **options, **file)
        rules = Best(**options, rules=KERAS)
        state = rules.initial()
        for epoch, value in enumerate(values):
            for one in (ours, theirs):
                one.on_epoch_end(epoch, logs_of(options["monitor"], value))
            assert same(ours.best, theirs.best)
            assert ours.model.saves == theirs.model.saves
            state, verdict = rules.step(state, epoch, value)
            agree(ours.said, verdict)
