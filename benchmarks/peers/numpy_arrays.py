"""The floor: lists in memory, saved as NumPy arrays at the end. A killed process keeps nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def version() -> str:
    """Return the release that is measured."""
    return np.__version__


class Peer:
    """A list for the steps, one for the times, and one a name."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.path = folder / "points.npz"
        self.steps: list[int] = []
        self.times: list[float] = []
        self.values: dict[str, list[float]] = {name: [] for name in names}

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Append to each list."""
        self.steps.append(step)
        self.times.append(time.time())
        for name, value in metrics.items():
            self.values[name].append(value)

    def close(self) -> None:
        """Return when everything is durable."""
        arrays = {name: np.array(values) for name, values in self.values.items()}
        with self.path.open("wb") as file:
            np.savez(file, __steps=np.array(self.steps), __times=np.array(self.times), **arrays)
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> Any:
        """Return a long pandas frame."""
        with np.load(self.path) as found:
            names = [name for name in found.files if not name.startswith("__")]
            steps, times = found["__steps"], (found["__times"] * 1e6).astype("M8[us]")
            columns = {
                "name": pd.Categorical.from_codes(
                    np.repeat(np.arange(len(names)), len(steps)), names
                ),
                "step": np.tile(steps, len(names)),
                "time": np.tile(times, len(names)),
                "value": np.concatenate([found[name] for name in names]),
            }
        return pd.DataFrame(columns, copy=False)
