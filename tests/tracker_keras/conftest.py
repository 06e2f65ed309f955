"""Real Keras on the backend that KERAS_BACKEND names, real data, small models, a real database."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small models wait for threads, not for numbers
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

BACKEND = keras.backend.backend()


class Data:
    """A few hundred digits: training, validation, and weights for the samples."""

    def __init__(self) -> None:
        x, y = load_digits(return_X_y=True)
        x = (x / 16).astype("float32")
        self.x, self.y = x[:96], y[:96]
        self.validation = (x[96:160], y[96:160])
        self.weights = np.linspace(0.5, 1.5, 96).astype("float32")


@pytest.fixture(scope="session")
def data() -> Data:
    return Data()


def _build(**compile_with: Any) -> Any:
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(12, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    given = {
        "optimizer": keras.optimizers.SGD(0.1),
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        "run_eagerly": True,  # tracing a graph would take longer than the training
    }
    model.compile(**{**given, **compile_with})
    return model


@pytest.fixture(scope="session")
def build() -> Callable[..., Any]:
    """Make the same small classifier each time, weights included."""
    return _build


@pytest.fixture
def model() -> Any:
    return _build()


@pytest.fixture
def fit(data: Data) -> Callable[..., Any]:
    """Call ``fit`` with the digits; what is given comes before the defaults."""

    def run(model: Any, callbacks: Any = (), **given: Any) -> Any:
        defaults: dict[str, Any] = {
            "x": data.x,
            "y": data.y,
            "validation_data": data.validation,
            "epochs": 3,
            "batch_size": 32,
            "verbose": 0,
            "shuffle": False,
        }
        return model.fit(callbacks=list(callbacks), **{**defaults, **given})

    return run


class Record:
    """What the database in the working folder holds, read with nothing but SQLite."""

    path = Path(".tracker/tracker.db")

    def ask(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(sql, values)]
        finally:
            connection.close()

    def runs(self) -> list[dict[str, Any]]:
        return self.ask("SELECT * FROM run ORDER BY started")

    def run(self) -> dict[str, Any]:
        (found,) = self.runs()
        return found

    def epochs(self) -> list[dict[str, Any]]:
        found = self.ask("SELECT * FROM epoch WHERE NOT superseded ORDER BY attempt, epoch")
        for one in found:
            metrics = self.ask(
                "SELECT name, value, value_kind FROM metric WHERE epoch_id = ? ORDER BY position",
                one["id"],
            )
            one["metrics"] = {
                row["name"]: float("nan") if row["value_kind"] == "nan" else row["value"]
                for row in metrics
            }
        return found

    def decisions(self, kind: str | None = None) -> list[dict[str, Any]]:
        sql = (
            "SELECT decision.*, policy.kind FROM decision JOIN policy ON policy.id = policy_id "
            "WHERE NOT superseded ORDER BY decision.id"
        )
        return [one for one in self.ask(sql) if kind in (None, one["kind"])]

    def verdicts(self, kind: str | None = None) -> list[str]:
        return [one["verdict"] for one in self.decisions(kind)]

    def captured(self) -> dict[str, Any]:
        (found,) = self.ask("SELECT captured FROM attempt")
        return json.loads(found["captured"])

    def checkpoints(self) -> list[dict[str, Any]]:
        return self.ask("SELECT * FROM checkpoint ORDER BY created")


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture(scope="session")
def same_weights() -> Callable[[Any, Any], bool]:
    """Say whether two models have bit-equal weights."""

    def compare(one: Any, other: Any) -> bool:
        pairs = zip(one.get_weights(), other.get_weights(), strict=True)
        return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)

    return compare
