"""What a released version left in its spool is applied, every kind of it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NotRequired, get_args, get_origin, get_type_hints

import pytest

import tracker
from tests.helpers import ROOT
from tracker.storage.entries import Entry
from tracker.storage.location import locate
from tracker.storage.spool import read_file, spool_path

RELEASED = sorted((ROOT / "tests/storage/spools").glob("*.jsonl"))


def killed(spool: Path) -> None:
    """Leave what the killed process had in its database before it spooled the rest."""
    tracker.start_run(name="earlier").finish()
    entries: list[Any] = read_file(spool)
    follow = next(entry for entry in entries if entry["kind"] == "follow")
    run, attempt = follow["run"], follow["earlier"]
    with closing(sqlite3.connect(".tracker/tracker.db")) as connection:
        connection.execute(
            "INSERT INTO run (id, name, experiment, status, started, seconds, epochs) "
            "VALUES (?, 'killed', 'digits', 'running', 1, 0, 0)",
            (run,),
        )
        connection.execute(
            "INSERT INTO attempt (id, run_id, number, status, started, heartbeat, host, boot_id, "
            "pid_namespace, pid, process_started, captured, spooled, dropped, waited) SELECT ?, ?, "
            "1, 'running', 1, 1, host, 'other', pid_namespace, pid, 0, '{}', 0, 0, 0 FROM attempt",
            (attempt, run),
        )
        connection.commit()
    target = spool_path(locate(), attempt)
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(spool, target)


@pytest.mark.parametrize("spool", RELEASED, ids=lambda path: path.stem)
def test_a_spool_that_a_released_version_left_is_applied(spool: Path, sql: Any) -> None:
    killed(spool)
    tracker.start_run(name="next").finish()
    assert list(Path(".tracker/spool").iterdir()) == []
    of_run = "run_id = (SELECT id FROM run WHERE name = 'killed')"
    assert sql("SELECT status, reason, epochs FROM run WHERE name = 'killed'") == [
        ("stopped_early", "enough", 3)
    ]
    assert sql(f"SELECT attempt, epoch, superseded FROM epoch WHERE {of_run} ORDER BY 1, 2") == [
        (1, 0, 0), (1, 1, 0), (1, 2, 1), (2, 2, 0),
    ]  # fmt: skip
    of_epochs = "last_epoch IS NOT NULL"
    assert sql(f"SELECT name, min, max, last FROM summary WHERE {of_run} AND {of_epochs}") == [
        ("loss", 0.5, 2.0, 0.5)
    ]
    assert sql(f"SELECT epoch, verdict FROM decision WHERE {of_run}") == [
        (epoch, "waited") for epoch in range(3)
    ]
    assert sql(f"SELECT count(*) FROM checkpoint WHERE {of_run} AND state = 'pruned'") == [(3,)]
    assert sql(f"SELECT kind, monitor FROM policy WHERE {of_run}") == [("EarlyStopping", "loss")]
    defined = any(entry["kind"] == "definition" for entry in read_file(spool))
    assert sql(f"SELECT name, mode FROM metric_definition WHERE {of_run} AND source = 'user'") == (
        [("loss", "min")] if defined else []
    )
    assert sql(f"SELECT name, text FROM param WHERE {of_run}") == [("layers", "[1,2]")]
    assert sql(f"SELECT name, value FROM tag WHERE {of_run}") == [("owner", "me")]
    assert sql(f"SELECT attempt, calls, last_step FROM clock WHERE {of_run}") == [(1, 1, 7)]
    assert sql(f"SELECT captured FROM attempt WHERE {of_run} AND number = 1")[0][0] != "{}"


def test_the_released_spool_holds_every_kind_and_its_keys() -> None:
    """Each kind that can be written is in a file of a release, with the keys that are read here."""
    released: dict[str, set[str]] = {}
    for spool in RELEASED:
        for entry in read_file(spool):
            released.setdefault(entry["kind"], set()).update(entry)
    for kind in get_args(Entry):
        hints = get_type_hints(kind, include_extras=True)
        (word,) = get_args(hints["kind"])
        required = {key for key, hint in hints.items() if get_origin(hint) is not NotRequired}
        assert required <= released[word] <= hints.keys(), word
