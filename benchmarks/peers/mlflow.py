"""MLflow with its SQLite store: one row per point, in the database when the call returns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd


def version() -> str:
    """Return the release that is measured."""
    from importlib.metadata import version as installed

    return installed("mlflow")


class Peer:
    """``mlflow.log_metrics``, synchronous as by default."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        import mlflow

        self.mlflow, self.names = mlflow, names
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        self.id = mlflow.start_run().info.run_id

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Log a call."""
        self.mlflow.log_metrics(metrics, step=step)

    def close(self) -> None:
        """End the run; every call was durable already."""
        self.mlflow.end_run()

    def read(self) -> Any:
        """Return a long pandas frame."""
        client = self.mlflow.MlflowClient()
        rows = [
            (point.key, point.step, point.timestamp, point.value)
            for name in self.names
            for point in client.get_metric_history(self.id, name)
        ]
        return pd.DataFrame(rows, columns=["name", "step", "time", "value"])
