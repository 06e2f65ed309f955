"""trackio: a row of a SQLite table for each call, written by a thread of its own."""

from __future__ import annotations

import trackio
from trackio.sqlite_storage import SQLiteStorage

from tests.faults.recorders.script import NAME, Found, Script

TITLE, PACKAGE, RESUMES = "trackio", "trackio", False


def train(script: Script) -> None:
    """Log each epoch."""
    trackio.init("fault", name=NAME, embed=False, auto_log_gpu=False, auto_log_cpu=False)
    for epoch in range(script.epochs):
        trackio.log(script.metrics(epoch), step=epoch)
        script.acknowledge(epoch)
    trackio.finish()


def read(script: Script) -> Found:
    """Read the logs of the run."""
    found = Found()
    for row in SQLiteStorage.get_logs("fault", NAME):
        found.add(row["step"], row["loss"])
    return found
