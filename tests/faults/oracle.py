"""What must hold after every fault."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tracker.queries.damage import damaged_epochs
from tracker.queries.status import dead_runs
from tracker.storage.database import reading
from tracker.storage.location import locate
from tracker.storage.spool import read_file, spool_files


class Oracle:
    """Looks at a database, its spool and its files, with nothing of ours in between where that is possible.

    Args:
        folder: the one that the runs were in.
        path: the database; by default the one in ``.tracker``.
    """

    def __init__(self, folder: Path, path: Path | None = None) -> None:
        self.folder = folder
        self.path = path or folder / ".tracker/tracker.db"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()

    def check_database(self) -> None:
        """The file is sound, no row lacks its parent, and each epoch is as its checksum says."""
        assert self.rows("PRAGMA integrity_check") == [("ok",)]
        assert self.rows("PRAGMA foreign_key_check") == []
        with reading(self.path) as reader:
            assert reader.empty or damaged_epochs(reader.connection) == []

    def check_checkpoints(self) -> None:
        """An available row has its file, a file has its row, and no half-saved one is left.

        In the store, a kill may leave a link without a row; `tracker checkpoints gc` removes it.
        """
        rows = self.check_available()
        on_disk = {path for folder in self.folder.glob("ckpt*") for path in folder.iterdir()}
        named = {self.folder / path for path in rows}
        there = {path for path in named if path.parent.name != "checkpoints"}
        assert on_disk == there, (
            f"without a row: {on_disk - there}; without a file: {there - on_disk}"
        )
        assert self.rows("SELECT id FROM checkpoint WHERE pending") == []

    def has_tables(self) -> bool:
        """Say whether the database was made whole: a kill may come before that."""
        return self.rows("SELECT 1 FROM sqlite_master WHERE name = 'epoch'") == [(1,)]

    def check_available(self) -> list[str]:
        """An available row has its file, with its size and hash; returns their paths."""
        rows = self.rows("SELECT path, bytes, sha256 FROM checkpoint WHERE state = 'available'")
        for path, size, digest in rows:
            data = (self.folder / path).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest), path
        assert len({path for path, _, _ in rows}) == len(rows)
        return [path for path, _, _ in rows]

    def check_nothing_runs(self) -> None:
        """No run whose process is gone is called running."""
        with reading(locate(self.path)) as reader:
            assert dead_runs(reader.connection) == {}
        assert self.rows("SELECT id FROM run WHERE status = 'running'") == []
        assert self.rows("SELECT id FROM attempt WHERE status = 'running'") == []

    def recorded(self) -> dict[str, dict[int, float]]:
        """Run → epoch → loss: in the database, or waiting."""
        found: dict[str, dict[int, float]] = {}
        query = "SELECT run_id, epoch.epoch, value FROM epoch JOIN metric ON epoch_id = epoch.id AND name = 'loss'"
        for run, epoch, loss in self.rows(query) if self.has_tables() else ():
            assert epoch not in found.setdefault(run, {}), "an epoch is there twice"
            found[run][epoch] = loss
        for path in spool_files(locate(self.path)):
            for entry in read_file(path):
                if entry["kind"] == "epoch":
                    found.setdefault(entry["run"], {})[entry["epoch"]] = entry["metrics"][0][1]
        return found

    def check_acknowledged(self, *notes: Path) -> int:
        """Every acknowledged epoch is recorded, bit-equal, and at most one more an attempt; returns how many."""
        acknowledged = noted(*notes)
        recorded = self.recorded()
        if not self.has_tables():
            assert acknowledged == {}
            return 0
        attempts = dict(self.rows("SELECT run_id, count(*) FROM attempt GROUP BY run_id"))
        for run, epochs in acknowledged.items():
            assert epochs.items() <= recorded.get(run, {}).items(), "an acknowledged epoch is lost"
            assert len(recorded[run]) - len(epochs) <= attempts[run]
        return sum(map(len, acknowledged.values()))


def noted(*notes: Path) -> dict[str, dict[int, float]]:
    """Return what was acknowledged: run → epoch → loss."""
    acknowledged: dict[str, dict[int, float]] = {}
    for path in notes:
        for line in path.read_text().splitlines() if path.exists() else []:
            run, epoch, loss = json.loads(line)
            acknowledged.setdefault(run, {})[epoch] = loss
    return acknowledged


NOTE = '''
import json, os, sys
def note(path, *facts):
    """Acknowledge: on disk, in a file of its own, when this returns."""
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(descriptor, (json.dumps(facts) + "\\n").encode())
    os.fsync(descriptor)
    os.close(descriptor)
'''
