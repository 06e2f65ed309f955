"""A tuned SQLite table with one row per point: what a careful day of work gives."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pandas as pd

ROWS = 20_000
SECONDS = 1.0


def version() -> str:
    """Return the release that is measured."""
    return sqlite3.sqlite_version


class Peer:
    """Rows wait in a list, and are inserted with one statement, at least once a second."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.connection = sqlite3.connect(folder / "rows.db", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=FULL")
        self.connection.execute("PRAGMA cache_size=-65536")
        self.connection.execute("CREATE TABLE name (id INTEGER PRIMARY KEY, name TEXT)")
        self.connection.executemany("INSERT INTO name VALUES (?, ?)", enumerate(names))
        self.connection.execute(
            "CREATE TABLE point (name INTEGER, step INTEGER, time REAL, value REAL)"
        )
        self.ids = {name: place for place, name in enumerate(names)}
        self.rows: list[tuple[int, int, float, float]] = []
        self.flushed = time.time()

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Append a row a metric."""
        now, ids, rows = time.time(), self.ids, self.rows
        for name, value in metrics.items():
            rows.append((ids[name], step, now, value))
        if len(rows) >= ROWS or now - self.flushed > SECONDS:
            self.flush()

    def flush(self) -> None:
        """Insert what waits."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany("INSERT INTO point VALUES (?, ?, ?, ?)", self.rows)
        self.connection.execute("COMMIT")
        self.rows.clear()
        self.flushed = time.time()

    def close(self) -> None:
        """Return when everything is durable."""
        self.flush()
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def read(self) -> Any:
        """Return a long pandas frame."""
        found = self.connection.execute("SELECT name, step, time, value FROM point ORDER BY name")
        frame = pd.DataFrame(found.fetchall(), columns=["name", "step", "time", "value"])
        frame["name"] = pd.Categorical.from_codes(frame["name"], [*self.ids])
        frame["time"] = pd.to_datetime(frame["time"], unit="s")
        return frame
