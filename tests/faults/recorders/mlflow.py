"""MLflow with its SQLite store: a row for each metric, written by the call itself."""

from __future__ import annotations

import mlflow
import mlflow.store.tracking.sqlalchemy_store

from tests.faults.recorders.script import NAME, Found, Script

TITLE, PACKAGE, RESUMES = "MLflow", "mlflow", False


def train(script: Script) -> None:
    """Log the metrics of each epoch."""
    _open(script)
    with mlflow.start_run(run_name=NAME):
        for epoch in range(script.epochs):
            mlflow.log_metrics(script.metrics(epoch), step=epoch)
            script.acknowledge(epoch)


def read(script: Script) -> Found:
    """Read the history of the loss, and the status of the run."""
    _open(script)
    [run] = mlflow.search_runs(output_format="list")
    found = Found(status=run.info.status.lower())
    for point in mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss"):
        found.add(point.step, point.value)
    return found


def _open(script: Script) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{script.folder / 'mlflow.db'}")
