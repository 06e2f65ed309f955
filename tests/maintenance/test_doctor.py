"""What the doctor reports, it can repair; what it cannot repair, it does not report again and again."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.maintenance.doctor import Finding, Subject, examine, mend
from tracker.storage.location import locate
from tracker.storage.spool import Spool, spool_path

KERNEL = """
import sys, tracker
with tracker.start_run(name="done") as run:
    run.log_epoch(0, {"loss": 1.0})
    run.save_checkpoint("w.pt", lambda path: path.write_text("1"), epoch=0)
print(run.id, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def finished(script: Callable[..., Any]) -> Iterator[str]:
    """The id of a finished run whose process, such as a notebook's kernel, still lives."""
    kernel = script(KERNEL, stdin=subprocess.PIPE)
    yield kernel.stdout.readline().strip()
    assert kernel.poll() is None


def problems() -> dict[Subject, Finding]:
    return {one.subject: one for one in examine(locate()) if one.problem is not None}


def change(statement: str) -> None:
    with closing(sqlite3.connect(".tracker/tracker.db")) as connection, connection:
        connection.execute(statement)


def test_a_pending_checkpoint_of_a_finished_run_is_repaired_while_its_process_lives(
    finished: str, sql: Any
) -> None:
    change("UPDATE checkpoint SET pending = 1, state = 'missing'")
    [(id,)] = sql("SELECT id FROM checkpoint")
    assert problems()[Subject.CHECKPOINTS].affected == (id,)
    mend(locate())
    assert problems() == {}
    assert sql("SELECT state, pending FROM checkpoint") == [("available", 0)]


def test_pending_records_of_a_finished_run_are_imported_while_its_process_lives(
    finished: str, sql: Any
) -> None:
    [(attempt,)] = sql("SELECT id FROM attempt")
    spool = Spool(spool_path(locate(), attempt))
    tags = [{"run_id": finished, "name": "late", "value": "yes"}]
    spool.append([{"kind": "tags", "rows": tags}])
    assert problems()[Subject.PENDING_RECORDS].affected == (str(spool.path),)
    mend(locate())
    assert problems() == {}
    assert sql("SELECT name, value FROM tag") == [("late", "yes")]


def test_a_run_whose_copy_of_its_best_is_wrong_is_repaired(folder: Path, sql: Any) -> None:
    with tracker.start_run(monitor="score", mode="max") as run:
        run.log_epoch(0, {"score": 1.0})
        run.log_epoch(1, {"score": 3.0})
    judged = [("score", 1.0, 3.0)]
    assert sql("SELECT judged_by, judged_min, judged_max FROM run") == judged
    for wrong in ("7.0", "NULL"):
        change(f"UPDATE run SET judged_max = {wrong}")
        assert problems()[Subject.SUMMARIES].affected == (run.id,)
        mend(locate())
        assert problems() == {}
        assert sql("SELECT judged_by, judged_min, judged_max FROM run") == judged


def test_pending_records_of_another_database_are_no_problem_of_this_one(folder: Path) -> None:
    tracker.start_run().finish()
    Spool(spool_path(locate(), "unknown")).append([{"kind": "tags", "rows": []}])
    assert problems() == {}


def test_a_block_that_cannot_be_read_is_reported_without_the_advice_to_ask_the_doctor(
    folder: Path,
) -> None:
    with tracker.start_run(name="a") as run:
        run.log({"loss": 1.0})
    change("UPDATE block SET payload = x'00'")
    problem = problems()[Subject.STEP_METRICS]
    assert problem.affected == (run.id,)
    assert problem.problem is not None
    assert problem.problem.startswith("1 run has blocks that cannot be read, such as a: ")
    assert "doctor" not in problem.problem


def test_rows_without_the_row_that_they_belong_to_are_counted(folder: Path) -> None:
    with tracker.start_run(name="a") as run:
        run.log_epoch(0, {"loss": 1.0})
    change("UPDATE metric SET epoch_id = 99")
    assert problems()[Subject.STRUCTURE].problem == "1 row refers to a row that does not exist"
    change("INSERT INTO metric SELECT 98, name, position, value, value_kind FROM metric")
    assert problems()[Subject.STRUCTURE].problem == "2 rows refer to a row that does not exist"
