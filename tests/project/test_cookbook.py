"""Every answer of the cookbook is right: on the demo's database it says what a statement in SQL says."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

import tracker
from tests.helpers import ROOT
from tests.project.conftest import Demo

ROW = re.compile(r"^\| (\d+) \| (.+?) \| `(.+)` \|$", re.MULTILINE)
ANSWERS = {
    int(number): answer.replace(r"\|", "|")
    for number, _, answer in ROW.findall((ROOT / "docs" / "cookbook.md").read_text())
}
RUN = "torch-lr0.003-w64"

EFFECTIVE = """
    SELECT run.name AS run, run.experiment, epoch.epoch, epoch.seconds, metric.name AS metric, metric.value
    FROM metric JOIN epoch ON epoch.id = metric.epoch_id JOIN run ON run.id = epoch.run_id
    WHERE NOT epoch.superseded"""
BESTS = f"""
    SELECT run, min(value) AS best, epoch FROM ({EFFECTIVE}) WHERE metric = 'val_loss' GROUP BY run"""
"""SQLite takes the epoch from the row that has the minimum."""

Rows = list[tuple[Any, ...]]


def answered(number: int, cli: Any) -> Any:
    """Return what an answer answers: rows of a listing as dicts, other commands' text, or a line's value."""
    answer = ANSWERS[number]
    if not answer.startswith("tracker "):
        return eval(answer, {"tracker": tracker})
    words = shlex.split(answer)[1:]
    if number in TEXTS:
        return cli(*words).output
    return json.loads(cli(*words, "--format", "json").output)


def cells(*names: str) -> Callable[[list[dict[str, Any]]], Rows]:
    """Return what takes these cells out of a listing's rows."""
    return lambda rows: [tuple(row[name] for name in names) for row in rows]


def scalar(value: Any) -> Rows:
    return [(value,)]


def pairs(found: dict[Any, Any]) -> Rows:
    return sorted(found.items())


def names_of(statement: str) -> tuple[Callable[[Any], Any], str]:
    """Compare the names of runs, as a set."""
    return lambda rows: sorted(
        cells("name")(rows)
    ), f"SELECT name FROM run WHERE {statement} ORDER BY name"


def param(name: str) -> str:
    return f"(SELECT text FROM param WHERE run_id = run.id AND param.name = '{name}')"


def best(metric: str = "val_loss") -> str:
    values = f"SELECT min(value) FROM ({EFFECTIVE}) AS e WHERE e.run = run.name"
    return f"({values} AND metric = '{metric}')"


LAST = f"""(SELECT value FROM ({EFFECTIVE}) AS e WHERE e.run = run.name AND metric = 'val_loss'
    ORDER BY epoch DESC LIMIT 1)"""
HIGHEST = f"(SELECT max(value) FROM ({EFFECTIVE}) WHERE metric = 'val_accuracy')"
VAL_LOSS = f"({EFFECTIVE}) WHERE metric = 'val_loss'"

CHECKS: dict[int, tuple[Callable[[Any], Any], str]] = {
    1: (cells("run", "value", "epoch"), f"SELECT * FROM ({BESTS}) ORDER BY best LIMIT 1"),
    2: (cells("value"), f"SELECT {HIGHEST}"),
    3: (
        lambda text: [(text.strip().rsplit("/", 1)[-1],)],
        f"""SELECT replace(path, 'checkpoints/', '') FROM checkpoint WHERE state = 'available'
        AND value = (SELECT min(best) FROM ({BESTS}))""",
    ),
    4: (cells("name", "best"), f"SELECT run, best FROM ({BESTS}) ORDER BY best LIMIT 3"),
    5: names_of("status = 'running'"),
    6: names_of("started > (strftime('%s', 'now', 'start of day') - 7 * 86400) * 1000000"),
    7: names_of("status = 'stopped_early'"),
    8: names_of("status IN ('failed', 'lost')"),
    9: names_of(f"CAST({param('width')} AS INTEGER) >= 64 AND {best()} < 0.2"),
    10: names_of(f"{param('framework')} = 'keras'"),
    11: names_of(
        "(SELECT json_extract(captured, '$.fit.batch_size') FROM attempt WHERE run_id = run.id) = 32"
    ),
    12: names_of(f"{best()} < {LAST}"),
    13: (
        lambda rows: sorted(cells("name", "params.lr", "val_accuracy")(rows)),
        f"""SELECT name, CAST({param('lr')} AS REAL), (SELECT max(value) FROM ({EFFECTIVE}) AS e
        WHERE e.run = run.name AND metric = 'val_accuracy') FROM run ORDER BY name""",
    ),
    14: (
        lambda rows: sorted((row["params.framework"], row["runs"], row["best"], round(row["mean"], 9)) for row in rows),
        f"""SELECT substr(run, 1, 5), count(*), min(best), round(avg(best), 9) FROM ({BESTS}) GROUP BY 1 ORDER BY 1""",
    ),
    15: (
        lambda rows: [tuple(row.values())[1:] for row in rows if row["field"] == "params.framework"],
        "SELECT 'keras', 'torch'",
    ),
    16: (
        lambda text: [(int(text.split(" epochs")[0].rsplit(" ", 1)[1]),)],
        "SELECT epochs FROM run WHERE name = 'keras-lr0.0003-w128'",
    ),
    17: (
        lambda rows: sorted(cells("metric", "runs", "min", "max")(rows)),
        f"""SELECT metric, count(DISTINCT run), min(value), max(value) FROM ({EFFECTIVE})
        GROUP BY metric ORDER BY metric""",
    ),
    18: (
        lambda rows: sorted(cells("param", "runs", "different")(rows)),
        "SELECT name, count(*), count(DISTINCT text) FROM param GROUP BY name ORDER BY name",
    ),
    19: (lambda text: [(RUN in text and "val_loss" in text,)], "SELECT 1"),
    20: (lambda text: [("curves.svg" in text,)], "SELECT 1"),
    21: (
        cells("epoch", "val_accuracy"),
        f"""SELECT epoch, value FROM ({EFFECTIVE}) WHERE run = '{RUN}' AND metric = 'val_accuracy'
        AND value > 0.8 ORDER BY epoch LIMIT 1""",
    ),
    22: (
        lambda epochs: [(epoch,) for epoch in epochs],
        """SELECT epoch FROM epoch JOIN run ON run.id = run_id WHERE run.name = 'keras-lr0.003-w64'
        ORDER BY epoch.seconds DESC LIMIT 3""",
    ),
    23: (
        lambda frame: list(zip(frame["epoch"], frame["val_loss"], strict=True)),
        f"SELECT epoch, value FROM {VAL_LOSS} AND run = 'keras-lr0.003-w64' ORDER BY epoch",
    ),
    24: (
        lambda frame: [(epoch, row.iloc[1]) for epoch, row in frame.iterrows()],
        f"SELECT epoch, value FROM {VAL_LOSS} AND run = '{RUN}' ORDER BY epoch",
    ),
    25: (
        lambda history: [(row["epoch"], row["metrics"]["val_loss"]) for row in history],
        f"SELECT epoch, value FROM {VAL_LOSS} AND run = '{RUN}' ORDER BY epoch",
    ),
    26: (
        pairs,
        f"SELECT CAST({param('lr')} AS REAL), min({best()}) FROM run GROUP BY 1 ORDER BY 1",
    ),
    27: (lambda seconds: scalar(round(seconds, 6)), "SELECT round(sum(seconds), 6) FROM epoch"),
    28: (scalar, "SELECT count(*) FROM epoch WHERE NOT superseded"),
    29: (pairs, f"SELECT run, epoch FROM ({BESTS}) ORDER BY run"),
    30: (
        cells("epoch"),
        f"""SELECT a.epoch FROM ({EFFECTIVE}) AS a WHERE a.metric = 'val_loss' AND a.run = 'torch-lr0.03-w32'
        AND NOT EXISTS (SELECT 1 FROM ({EFFECTIVE}) AS b WHERE b.metric = 'val_loss' AND b.run = a.run
        AND b.epoch < a.epoch AND b.value <= a.value) ORDER BY a.epoch""",
    ),
    31: (pairs, "SELECT verdict, count(*) FROM decision GROUP BY verdict ORDER BY verdict"),
    32: (
        lambda rows: sorted(cells("run", "epochs")(rows)),
        f"""SELECT run, coalesce(min(CASE WHEN waits >= 2 THEN epoch + 1 END), count(*)) FROM (
        SELECT a.run, a.epoch, a.epoch - max(b.epoch) AS waits FROM (SELECT * FROM {VAL_LOSS}) AS a
        JOIN (SELECT * FROM {VAL_LOSS}) AS b ON a.run = b.run AND b.epoch <= a.epoch AND b.value = (
        SELECT min(c.value) FROM ({EFFECTIVE}) AS c WHERE c.run = a.run AND c.metric = 'val_loss'
        AND c.epoch <= a.epoch) GROUP BY a.run, a.epoch) GROUP BY run ORDER BY run""",
    ),
    33: (
        lambda rows: sorted(cells("run", "epochs_after")(rows)),
        f"""SELECT run, (SELECT max(epoch) FROM ({EFFECTIVE}) AS e WHERE e.run = b.run) - epoch
        FROM ({BESTS}) AS b ORDER BY run""",
    ),
    34: (
        lambda rows: sorted(cells("id", "sha256")(rows)),
        "SELECT id, sha256 FROM checkpoint WHERE state = 'available' ORDER BY id",
    ),
    35: (
        lambda rows: sorted(cells("run", "value")(rows)),
        f"SELECT run, best FROM ({BESTS}) ORDER BY run",
    ),
    36: (
        lambda rows: sorted(cells("id", "state", "bytes")(rows)),
        "SELECT id, 'available', bytes FROM checkpoint WHERE state = 'available' ORDER BY id",
    ),
    37: (scalar, "SELECT sum(bytes) FROM checkpoint WHERE state = 'available'"),
    38: (
        lambda text: [
            (int(line.split(",")[0]), float(line.rsplit(",", 1)[1])) for line in text.split()[1:]
        ],
        f"SELECT epoch, value FROM {VAL_LOSS} AND run = '{RUN}' ORDER BY epoch",
    ),
    39: (
        lambda text: sorted((name,) for name in re.findall("would be deleted: (.+)", text)),
        f"SELECT name FROM run WHERE {best()} > 0.4 ORDER BY name",
    ),
    40: (lambda table: scalar(table.num_rows), "SELECT count(*) FROM epoch"),
}  # fmt: skip
TEXTS = {3, 16, 19, 20, 38, 39}
"""Answers that are no listing."""


def test_there_are_forty_questions_and_each_is_checked() -> None:
    assert list(ANSWERS) == list(range(1, 41))
    assert set(CHECKS) == set(ANSWERS)


@pytest.mark.xdist_group("docs")
@pytest.mark.parametrize("number", CHECKS)
def test_an_answer_is_that_of_the_database(demo: Demo, cli: Any, number: int) -> None:
    extract, statement = CHECKS[number]
    path = demo.folder / ".tracker" / "tracker.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        expected = connection.execute(statement).fetchall()
    assert extract(answered(number, cli)) == expected
