"""What must hold after every fault."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tracker.queries.status import dead_runs
from tracker.storage.database import reading
from tracker.storage.location import locate
from tracker.storage.spool import read_file, spool_files


class Oracle:
    """Looks at a database, its spool and its files, with nothing of ours in between where that is possible."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / ".tracker/tracker.db"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()

    def check_database(self) -> None:
        """The file is sound, and no row lacks its parent."""
        assert self.rows("PRAGMA integrity_check") == [("ok",)]
        assert self.rows("PRAGMA foreign_key_check") == []

    def check_checkpoints(self) -> None:
        """An available row has its file, a file has its row, and no half-saved one is left.

        In the store, a kill may leave a link without a row; `tracker checkpoints gc` removes it.
        """
        rows = self.rows("SELECT path, bytes, sha256 FROM checkpoint WHERE state = 'available'")
        for path, size, digest in rows:
            data = (self.folder / path).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest), path
        assert len({path for path, _, _ in rows}) == len(rows)
        on_disk = {path for folder in self.folder.glob("ckpt*") for path in folder.iterdir()}
        named = {self.folder / path for path, _, _ in rows}
        assert on_disk == {path for path in named if path.parent.name != "checkpoints"}
        assert self.rows("SELECT id FROM checkpoint WHERE pending") == []

    def check_nothing_runs(self) -> None:
        """No run whose process is gone is called running."""
        with reading(locate(self.path)) as reader:
            assert dead_runs(reader.connection) == {}
        assert self.rows("SELECT id FROM run WHERE status = 'running'") == []
        assert self.rows("SELECT id FROM attempt WHERE status = 'running'") == []

    def recorded(self) -> dict[str, dict[int, float]]:
        """Run → epoch → loss: in the database, or waiting."""
        found: dict[str, dict[int, float]] = {}
        for run, epoch, loss in self.rows(
            "SELECT run_id, epoch.epoch, value FROM epoch JOIN metric ON epoch_id = epoch.id"
        ):
            assert epoch not in found.setdefault(run, {}), "an epoch is there twice"
            found[run][epoch] = loss
        for path in spool_files(locate(self.path)):
            for entry in read_file(path):
                if entry["kind"] == "epoch":
                    found.setdefault(entry["run"], {})[entry["epoch"]] = entry["metrics"][0][1]
        return found

    def check_acknowledged(self, *notes: Path) -> int:
        """Every acknowledged epoch is recorded, bit-equal, and at most one more an attempt; returns how many."""
        acknowledged: dict[str, dict[int, float]] = {}
        for note in notes:
            for line in note.read_text().splitlines() if note.exists() else []:
                run, epoch, loss = json.loads(line)
                acknowledged.setdefault(run, {})[epoch] = loss
        recorded = self.recorded()
        attempts = dict(self.rows("SELECT run_id, count(*) FROM attempt GROUP BY run_id"))
        for run, epochs in acknowledged.items():
            assert epochs.items() <= recorded[run].items()
            assert len(recorded[run]) - len(epochs) <= attempts[run]
        return sum(map(len, acknowledged.values()))


@pytest.fixture
def oracle(folder: Path) -> Oracle:
    return Oracle(folder)


NOTE = '''
import json, os, sys
def note(path, *facts):
    """Acknowledge: on disk, in a file of its own, when this returns."""
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(descriptor, (json.dumps(facts) + "\\n").encode())
    os.fsync(descriptor)
    os.close(descriptor)
'''


@pytest.fixture
def note() -> str:
    """Code that defines ``note(path, *facts)``."""
    return NOTE


@pytest.fixture
def wait_for() -> Callable[[Path], None]:
    """Wait until a file is there; the test's own time limit is pytest's."""
    import time

    def wait(path: Path) -> None:
        give_up = time.monotonic() + 60
        while not path.exists():
            assert time.monotonic() < give_up, f"{path} was never written"
            time.sleep(0.005)

    return wait


def pytest_configure() -> None:
    os.environ.setdefault("PYTHONFAULTHANDLER", "1")
