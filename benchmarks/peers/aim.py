"""Aim: a RocksDB store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd


def version() -> str:
    """Return the release that is measured."""
    from importlib.metadata import version as installed

    return installed("aim")


class Peer:
    """``Run.track`` once a metric."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        import aim

        self.aim, self.folder = aim, folder
        self.run = aim.Run(
            repo=str(folder),
            system_tracking_interval=None,
            log_system_params=False,
            capture_terminal_logs=False,
        )

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Track each metric."""
        for name, value in metrics.items():
            self.run.track(value, name=name, step=step)

    def close(self) -> None:
        """Return when the run is closed."""
        self.run.close()

    def read(self) -> Any:
        """Return a long pandas frame."""
        # opened read-only, Aim 3.29 shows no metric of a run that was closed a moment ago
        run = self.aim.Run(self.run.hash, repo=str(self.folder), system_tracking_interval=None)
        return pd.concat([metric.dataframe() for metric in run.metrics()])
