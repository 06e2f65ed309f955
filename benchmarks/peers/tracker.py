"""This project: `Run.log`, `Run.finish`, `tracker.metrics`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tracker


def version() -> str:
    """Return the release that is measured."""
    return str(tracker.__version__)


class Peer:
    """Records into a database of its own."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.database = folder / "tracker.db"
        self.run = tracker.start_run("stream", database=self.database)
        self.log = self.run.log

    def log_epoch(self, metrics: dict[str, float], epoch: int) -> None:
        """Record an epoch, durable when this returns."""
        self.run.log_epoch(epoch, metrics)

    def close(self) -> None:
        """Return when everything is durable."""
        self.run.finish()

    def read(self) -> Any:
        """Return a long pandas frame."""
        return tracker.metrics(self.run.id, database=self.database)
