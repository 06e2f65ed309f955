"""Looking at a database's file leaves alone the locks that this process holds on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tracker

CLOSE = (
    "import sqlite3\n"
    "connection = sqlite3.connect('.tracker/tracker.db')\n"
    "print(connection.execute('SELECT count(*) FROM epoch').fetchone()[0])\n"
    "connection.close()\n"
)


def test_another_process_does_not_take_the_log_from_under_an_open_run(
    folder: Path, script: Any
) -> None:
    run = tracker.start_run("digits", "a")
    run.log_epoch(0, {"loss": 1.0})
    # Closing a descriptor of a file drops every lock that the process has on it.
    assert len(tracker.runs()) == 1
    other = script(CLOSE)
    assert other.communicate()[0] == "1\n"
    assert Path(".tracker/tracker.db-wal").exists()
    run.log_epoch(1, {"loss": 0.5})
    assert script(CLOSE).communicate()[0] == "2\n"
    run.finish()
