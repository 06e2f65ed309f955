"""Where temporary files may lie: beside checkpoints, in folders that were captured, where policies write."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import tracker
from tracker.checkpointing.store import folder_of
from tracker.recording.recovery import temporary_folders
from tracker.storage.database import reading
from tracker.storage.location import locate


def add_policy(run: str, number: int, config: dict[str, Any]) -> None:
    row = f"p{number}", run, 1, number, "ModelCheckpoint", json.dumps(config)
    with closing(sqlite3.connect(".tracker/tracker.db")) as connection, connection:
        connection.execute(
            "INSERT INTO policy (id, run_id, attempt, number, kind, config) VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )


def test_each_place_that_a_run_names_is_looked_at() -> None:
    with tracker.start_run() as run:
        run.log_epoch(0, {"loss": 1.0})
        run.save_checkpoint("saved/w.pt", lambda path: path.write_text("1"), epoch=0)
        run.capture(checkpoint_folders=["/captured"])
    configs = (
        {"filepath": "files/{epoch}-{loss}.pt"},
        {"filepath": "/elsewhere/best.pt", "backup_dir": "backup"},
        {"filepath": None, "patience": 3},
    )
    for number, config in enumerate(configs):
        add_policy(run.id, number + 10, config)
    location, here = locate(), Path.cwd()
    with reading() as reader:
        found = temporary_folders(reader.connection, location)
        of_no_run = temporary_folders(reader.connection, location, ["another"])
    named = {here / "saved", here / "files", here / "backup", Path("/elsewhere"), Path("/captured")}
    assert found == named | {folder_of(location)}
    assert of_no_run == {folder_of(location)}
