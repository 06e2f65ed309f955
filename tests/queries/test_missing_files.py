"""A listing looks at the files: one that is gone is missing, though nobody has recorded that yet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.cli import runner
from tracker.cli import program
from tracker.queries import api as queries
from tracker.queries.checkpoints import find_checkpoint
from tracker.storage.database import reading


@pytest.fixture(autouse=True)
def files(folder: Path) -> None:
    (folder / "m").mkdir()
    with tracker.start_run(name="a") as run:
        for epoch, loss in enumerate([0.3, 0.1, 0.2]):
            path = folder / f"m/{epoch}.pt"
            path.write_text(f"weights {epoch}")
            run.log_checkpoint(path, epoch=epoch, monitor="loss", value=loss)


def states(**asked: Any) -> dict[int, str]:
    with reading() as reader:
        rows = queries.checkpoints(reader, **asked).dicts()
        return {row["epoch"]: row["state"] for row in rows}


def test_a_file_that_is_gone_is_missing(folder: Path, sql: Any) -> None:
    (folder / "m/1.pt").unlink()
    assert states() == {0: "available", 1: "missing", 2: "available"}
    assert tracker.checkpoints("a")["state"].tolist() == ["available", "missing", "available"]
    shown = json.loads(runner().invoke(program, ["runs", "show", "a", "--format", "json"]).output)
    assert [row["state"] for row in shown["checkpoints"]] == ["available", "missing", "available"]
    assert sql("SELECT DISTINCT state FROM checkpoint") == [("available",)]


def test_filters_and_sort_keys_know_it(folder: Path) -> None:
    shutil.move(folder / "m/2.pt", folder / "elsewhere.pt")
    assert states(where="state = 'missing'") == {2: "missing"}
    assert list(states(where="state = 'available'", order_by="-epoch")) == [1, 0]
    assert list(states(order_by="-state,epoch")) == [2, 0, 1]
    assert states(states=["missing"]) == {2: "missing"}
    assert states(where="state like 'miss%'", limit=1) == {2: "missing"}


def test_best_and_last_are_those_that_are_there(folder: Path) -> None:
    (folder / "m/1.pt").unlink()
    (folder / "m/2.pt").unlink()
    with reading() as reader:
        aliases = {row["epoch"]: row["alias"] for row in queries.checkpoints(reader).dicts()}
        assert find_checkpoint(reader, "a")["epoch"] == 0
    assert aliases == {0: "best, last", 1: None, 2: None}


def test_a_folder_that_is_gone_takes_its_files_along(folder: Path) -> None:
    shutil.rmtree(folder / "m")
    (folder / "m").write_text("a file now")
    assert set(states().values()) == {"missing"}


def test_a_file_that_is_there_and_a_link_are_available(folder: Path) -> None:
    (folder / "m/0.pt").rename(folder / "kept.pt")
    (folder / "m/0.pt").symlink_to(folder / "kept.pt")
    assert set(states().values()) == {"available"}


def test_verify_still_records_it(folder: Path, sql: Any) -> None:
    (folder / "m/1.pt").unlink()
    result = runner().invoke(program, ["checkpoints", "verify"])
    assert "missing" in result.output
    assert sql("SELECT epoch, state FROM checkpoint ORDER BY epoch") == [
        (0, "available"), (1, "missing"), (2, "available"),
    ]  # fmt: skip


def test_the_doctor_still_reports_it(folder: Path) -> None:
    (folder / "m/1.pt").unlink()
    result = runner().invoke(program, ["db", "doctor"])
    assert "m/1.pt" in result.output


def test_more_files_than_a_statement_takes_values(folder: Path) -> None:
    with tracker.start_run(name="many") as run:
        for epoch in range(3, 1203):
            (folder / f"m/{epoch}.pt").write_text(str(epoch))
            run.log_checkpoint(f"m/{epoch}.pt", epoch=epoch)
    shutil.rmtree(folder / "m")
    assert len(states(where="state = 'missing'")) == 1203
