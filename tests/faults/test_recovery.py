"""What killed processes have left: imported once, kept where it cannot be, and never in anybody's way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker import files
from tracker.errors import NotWritable
from tracker.maintenance.doctor import Subject, examine, mend
from tracker.storage import migrate, spool
from tracker.storage.location import locate
from tracker.storage.spool import Spool, set_aside, spool_files, spool_path


def test_a_spool_that_another_start_has_just_imported_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Of thirty spools and eight starts at once, two starts raised."""
    tracker.start_run().finish()
    for name in ("a", "b"):
        Spool(spool_path(locate(), name)).append([{"kind": "tags", "rows": []}])  # type: ignore[list-item]
    (first, second), stat = spool_files(locate()), Path.stat

    def gone(self: Path, **options: Any) -> os.stat_result:
        if self == first:
            self.unlink(missing_ok=True)
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", gone)
    assert spool_files(locate()) == [second]
    monkeypatch.setattr(spool, "spool_files", lambda location: [first, second])
    monkeypatch.setattr("tracker.recording.recovery.spool_files", lambda location: [first, second])
    tracker.start_run().finish()


def test_refused_records_are_counted_and_can_be_imported_later(cli: Any, sql: Any) -> None:
    with tracker.start_run(name="r") as run:
        attempt = run.writer.attempt_id
    rows = [{"run_id": run.id, "name": "late", "value": "yes"}]
    set_aside(
        spool_path(locate(), attempt),
        [{"kind": "of another release"}, {"kind": "tags", "rows": rows}],  # type: ignore[list-item, typeddict-item]
        None,
    )
    assert "2 records that the database refused" in cli("runs", "show", "r").stdout
    (found,) = [one for one in examine(locate()) if one.subject is Subject.PENDING_RECORDS]
    assert found.problem is not None
    mend(locate())
    assert sql("SELECT name FROM tag") == [("late",)]
    assert "1 record that the database refused" in cli("runs", "show", "r").stdout


def test_the_log_of_a_deleted_database_does_not_destroy_the_next_one(
    script: Any, sql: Any, caplog: pytest.LogCaptureFixture
) -> None:
    code = """
import os, tracker
run = tracker.start_run()
for epoch in range(20):
    run.log_epoch(epoch, {"loss": 1.0})
os._exit(9)
"""
    script(code).wait()
    Path(".tracker/tracker.db").unlink()
    assert Path(".tracker/tracker.db-wal").stat().st_size > 0
    tracker.start_run(name="next").finish()
    assert sql("PRAGMA integrity_check") == [("ok",)]
    assert sql("SELECT name FROM run") == [("next",)]
    assert "was left by a database that is gone" in caplog.text
    assert len(list(Path(".tracker").glob("tracker.db.left-*-wal"))) == 1


def test_two_backups_of_one_second_have_names_of_their_own(folder: Path) -> None:
    tracker.start_run().finish()
    made = [migrate.backup(locate()) for _ in range(3)]
    assert len(set(made)) == 3
    with pytest.raises(NotWritable, match="exists already"):
        migrate.backup(locate(), made[0])
    assert list(Path(".tracker").glob("*.part-*")) == []


def test_a_kill_within_a_backup_leaves_nothing_under_its_name(script: Any, folder: Path) -> None:
    code = """
import os, tracker
from tracker.storage import migrate
from tracker.storage.location import locate
tracker.start_run().finish()
migrate._name_it = lambda *_: os._exit(9)
migrate.backup(locate())
"""
    script(code).wait()
    assert len(list(Path(".tracker").glob("*.part-*"))) == 1
    backups = Path(".tracker").glob("*.backup-*")
    assert [path for path in backups if ".part-" not in path.name] == []
    migrate._sweep_partial_backups(Path.cwd() / ".tracker/tracker.db")
    assert list(Path(".tracker").glob("*.part-*")) == []


def test_a_backup_without_room_says_so_and_takes_none(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    tracker.start_run().finish()
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(NotWritable, match="its disk has 10: make room"):
        migrate.backup(locate())
    assert list(Path(".tracker").glob("*.backup*")) == []


def test_every_new_folder_is_made_durable_in_the_one_above_it(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """A folder whose name is lost with the power takes everything in it along."""
    synced: list[Path] = []
    sync = files.sync_folder

    def noting(path: Path) -> None:
        synced.append(path)
        sync(path)

    monkeypatch.setattr(files, "sync_folder", noting)
    with tracker.start_run(database=folder / "a/b/.tracker/tracker.db") as run:
        run.save_checkpoint(folder / "c/d/file", lambda to: to.write_text("1"))
    assert {folder, folder / "a", folder / "a/b", folder / "c"} <= set(synced)
