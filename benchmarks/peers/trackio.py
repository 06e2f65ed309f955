"""trackio: a SQLite table with a row a call, written by a thread of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd


def version() -> str:
    """Return the release that is measured."""
    from importlib.metadata import version as installed

    return installed("trackio")


class Peer:
    """``trackio.log`` into a local folder."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        os.environ["TRACKIO_DIR"] = str(folder)
        import trackio

        self.trackio, self.names = trackio, names
        self.run = trackio.init(
            "stream", name="run", embed=False, auto_log_gpu=False, auto_log_cpu=False
        )

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Log a call."""
        self.trackio.log(metrics, step=step)

    def close(self) -> None:
        """Return when everything is in the table."""
        self.trackio.finish()

    def read(self) -> Any:
        """Return a long pandas frame from the logs that trackio reads."""
        from trackio.sqlite_storage import SQLiteStorage

        wide = pd.DataFrame(SQLiteStorage.get_logs("stream", "run"))
        return wide.melt(id_vars=["step", "timestamp"], value_vars=self.names)
