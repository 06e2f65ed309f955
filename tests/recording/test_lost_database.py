"""The database is deleted, or replaced by an older one, while a run is recorded: nothing pending is stuck."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.cli import runner
from tracker.storage.spool import Spool, read_file

TRAINING = """
import os, sys, tracker
run = tracker.start_run("digits", "held", params={"lr": 0.1})
run.log_epoch(0, {"loss": 1.0})
print("ready", flush=True)
for line in sys.stdin:
    if line == "end\\n":
        run.finish()
        print("ended", flush=True)
        break
    epoch = int(line)
    run.log({"grad": epoch / 2}, step=epoch)
    run.log_epoch(epoch, {"loss": 1.0 / epoch})
    print("recorded", flush=True)
os._exit(9)
"""


def cli(*words: str) -> Any:
    from tracker.cli import program

    return runner().invoke(program, list(words), catch_exceptions=False)


class Training:
    """A process that records a run, and does what it is told."""

    def __init__(self, process: Any) -> None:
        self._process = process
        assert process.stdout.readline() == "ready\n"

    def tell(self, *lines: str) -> None:
        for line in lines:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
            self._process.stdout.readline()

    def die(self) -> None:
        self._process.communicate()


@pytest.fixture
def training(script: Any, folder: Path) -> Training:
    tracker.start_run(name="before").finish()
    shutil.copytree(".tracker", "older")
    return Training(script(TRAINING, stdin=-1))


def put_back_the_older_one() -> None:
    for name in ("tracker.db-wal", "tracker.db-shm"):
        Path(".tracker", name).unlink(missing_ok=True)
    Path(".tracker/tracker.db").unlink(missing_ok=True)
    with (
        closing(sqlite3.connect("older/tracker.db")) as source,
        closing(sqlite3.connect(".tracker/new.db")) as copy,
    ):
        source.backup(copy)
    Path(".tracker/new.db").rename(".tracker/tracker.db")


def epochs_of(run: str) -> list[tuple[int, float]]:
    frame = tracker.epochs(run)
    return list(zip(frame["epoch"], frame["loss"], strict=True))


def test_a_deleted_database_is_told_and_the_run_restored(training: Training) -> None:
    shutil.rmtree(".tracker")
    training.tell("1", "2", "end")
    training.die()
    listed = cli("runs", "list")
    assert "No runs in" in listed.stderr
    assert "pending records of runs that this database has lost (held)" in listed.stderr
    doctor = cli("db", "doctor")
    assert doctor.exit_code == 1
    assert "there is no database yet" in doctor.stdout
    assert "records in 1 file" in doctor.stdout
    assert cli("db", "doctor", "--fix").exit_code == 0
    assert cli("db", "doctor").exit_code == 0
    row = tracker.runs().iloc[0]
    assert (row["name"], row["experiment"], row["status"]) == ("held", "digits", "finished")
    assert epochs_of("held") == [(1, 1.0), (2, 0.5)]
    assert tracker.metrics("held")["value"].tolist() == [0.5, 1.0]
    assert row["grad"] == 0.5
    assert cli("runs", "list").stderr == ""


def test_an_older_backup_gets_the_run_when_the_next_one_starts(training: Training) -> None:
    shutil.rmtree(".tracker")
    training.tell("1")
    training.die()
    put_back_the_older_one()
    tracker.start_run(name="next").finish()
    assert set(tracker.runs()["name"]) == {"before", "held", "next"}
    assert tracker.runs("name = 'held'")["status"].tolist() == ["lost"]
    assert epochs_of("held") == [(1, 1.0)]
    assert cli("db", "doctor").exit_code == 0


def test_a_living_process_goes_on_in_the_database_that_took_the_place(training: Training) -> None:
    put_back_the_older_one()
    training.tell("1", "2")
    assert set(tracker.runs()["name"]) == {"before", "held"}
    assert epochs_of("held") == [(1, 1.0), (2, 0.5)]
    training.tell("end")
    training.die()
    assert tracker.runs("name = 'held'")["status"].tolist() == ["finished"]
    assert list(Path(".tracker/spool").glob("*")) == [] or not Path(".tracker/spool").exists()


def test_a_living_process_imports_its_own_records(training: Training) -> None:
    shutil.rmtree(".tracker")
    training.tell("1")
    assert "imports it itself" in cli("db", "doctor").stdout
    tracker.start_run(
        name="next"
    ).finish()  # makes a database, and leaves the living one's records alone
    training.tell("2", "end")
    training.die()
    assert epochs_of("held") == [(1, 1.0), (2, 0.5)]
    assert set(tracker.runs()["name"]) == {"next", "held"}
    assert cli("runs", "list").stderr == ""


def test_records_of_another_database_in_the_folder_are_left_to_it(
    script: Any, folder: Path
) -> None:
    code = TRAINING.replace('params={"lr": 0.1}', 'database="a.db"')
    training = Training(script(code, stdin=-1))
    (folder / "a.db").rename(folder / "kept")
    training.tell("1")
    training.die()
    (folder / "kept").rename(folder / "a.db")
    (pending,) = (folder / "spool").glob("*.jsonl")
    tracker.start_run(name="b", database="b.db").finish()
    assert cli("db", "doctor", "--fix", "--database", "b.db").exit_code == 0
    assert "lost" not in cli("runs", "list", "--database", "b.db").stderr
    assert pending.exists()
    tracker.start_run(name="a", database="a.db").finish()
    assert tracker.epochs("held", database="a.db")["epoch"].tolist() == [0, 1]
    assert not pending.exists()


def test_a_copy_leaves_the_pending_records_to_its_original(script: Any, folder: Path) -> None:
    code = TRAINING.replace('params={"lr": 0.1}', 'database="a.db"')
    training = Training(script(code, stdin=-1))
    assert cli("db", "backup", "-o", "copy.db", "--database", "a.db").exit_code == 0
    (folder / "a.db").rename(folder / "kept")
    training.tell("1")
    training.die()
    (folder / "kept").rename(folder / "a.db")
    assert "pending" not in cli("runs", "list", "--database", "copy.db").stderr
    assert cli("db", "doctor", "--fix", "--database", "copy.db").exit_code == 0
    assert tracker.epochs("held", database="copy.db")["epoch"].tolist() == [0]
    assert cli("db", "doctor", "--fix", "--database", "a.db").exit_code == 0
    assert tracker.epochs("held", database="a.db")["epoch"].tolist() == [0, 1]


def test_a_copy_leaves_what_was_refused_to_its_original(folder: Path) -> None:
    run = tracker.start_run("digits", "held", database="a.db")
    run.log_epoch(0, {"loss": 1.0})
    later = {"kind": "epoch", "run": run.id, "attempt": 1, "epoch": 1}
    run.writer.record(later)  # type: ignore[arg-type]  # as another release writes it
    run.finish()
    [kept] = (folder / "spool").glob("*.refused")
    assert cli("db", "backup", "-o", "copy.db", "--database", "a.db").exit_code == 0
    whole = {"started": 0, "seconds": 1.0, "learning_rate": None, "metrics": []}
    origin, _ = read_file(kept)
    kept.unlink()
    Spool(kept).append([origin, {**later, **whole}])  # type: ignore[typeddict-item]  # this release knows it
    assert cli("db", "doctor", "--fix", "--database", "copy.db").exit_code == 0
    assert tracker.epochs("held", database="copy.db")["epoch"].tolist() == [0]
    assert "1 record" in cli("db", "doctor", "--database", "a.db").stdout
    assert cli("db", "doctor", "--fix", "--database", "a.db").exit_code == 0
    assert tracker.epochs("held", database="a.db")["epoch"].tolist() == [0, 1]
    assert not kept.exists()


def test_what_was_refused_of_a_deleted_run_does_not_make_it_again(folder: Path) -> None:
    run = tracker.start_run("digits", "held", database="a.db")
    run.writer.record({"kind": "of another release"})
    run.finish()
    assert cli("runs", "delete", run.id, "--yes", "--database", "a.db").exit_code == 0
    cli("db", "doctor", "--fix", "--database", "a.db")
    assert len(tracker.runs(database="a.db")) == 0
    assert len(list((folder / "spool").glob("*.refused"))) == 1


def test_a_running_run_without_attempts_is_lost(sql: Any) -> None:
    """Somebody has deleted what says which process records it."""
    run = tracker.start_run(name="bare")
    tracker.start_run(name="other").finish()
    with closing(sqlite3.connect(".tracker/tracker.db")) as connection:
        connection.execute("DELETE FROM attempt WHERE run_id = ?", (run.id,))
        connection.commit()
    tracker.start_run(name="next").finish()
    status = "SELECT status, reason FROM run WHERE name = 'bare'"
    assert sql(status) == [("lost", "its attempts were deleted")]
    run.finish()
    assert sql(status) == [("finished", None)]


def test_a_renamed_database_takes_its_pending_records_along(script: Any, folder: Path) -> None:
    code = TRAINING.replace('params={"lr": 0.1}', 'database="a.db"')
    training = Training(script(code, stdin=-1))
    (folder / "a.db").rename(folder / "b.db")
    training.tell("1")
    training.die()
    for log in folder.glob("a.db-*"):
        log.rename(str(log).replace("a.db-", "b.db-"))
    tracker.start_run(name="next", database="b.db").finish()
    assert tracker.epochs("held", database="b.db")["epoch"].tolist() == [0, 1]


def nameless(folder: Path, age: float) -> Path:
    """Leave a spool as release 0.1.0 wrote it, of a run that is nowhere."""
    from tests.helpers import ROOT

    tracker.start_run(name="only").finish()
    target = folder / ".tracker/spool/feedfacefeed.jsonl"
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(ROOT / "tests/storage/spools/0.1.0.jsonl", target)
    then = time.time() - age
    os.utime(target, (then, then))
    return target


def test_records_that_say_no_run_are_set_aside(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = nameless(folder, age=3600)
    before = read_file(path)
    assert "of runs that this database has lost" in cli("runs", "list").stderr
    assert "without the name of a run" in cli("db", "doctor").stdout
    assert cli("db", "doctor", "--fix").exit_code == 0
    kept = path.with_suffix(".orphaned")
    assert read_file(kept) == before
    assert str(kept) in caplog.text
    assert cli("runs", "list").stderr == ""


def test_records_that_may_still_come_are_not_set_aside(folder: Path) -> None:
    path = nameless(folder, age=0)
    tracker.start_run(name="next").finish()
    assert path.exists()


def test_an_attempt_that_was_recorded_again_is_set_aside(training: Training, folder: Path) -> None:
    training.tell("1")
    shutil.rmtree(".tracker")
    training.tell("2")
    training.die()
    (path,) = (folder / ".tracker/spool").glob("*.jsonl")
    origin = read_file(path)[0]
    put_back_the_older_one()
    with closing(sqlite3.connect(".tracker/tracker.db")) as connection:
        connection.execute("UPDATE run SET id = ?", (origin["run"]["id"],))  # type: ignore[typeddict-item, index]
        connection.execute("UPDATE attempt SET run_id = ?", (origin["run"]["id"],))  # type: ignore[typeddict-item, index]
        connection.commit()
    tracker.start_run(name="next").finish()
    assert not path.exists()
    assert path.with_suffix(".orphaned").exists()
    assert tracker.epochs("before").empty
