"""The same page over PostgreSQL: every question, every change, and what happens live."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.pages import Page, serving
from tests.storage.test_postgres import pytestmark, server, url
from tracker.queries.changes import Changes
from tracker.storage.database import locate

# Fixtures, which pytest finds by their names here.
__all__ = ["pytestmark", "server", "url"]


def record() -> None:
    """Record two runs with all there is."""
    for name in ("a", "b"):
        Path(f"{name}.pt").write_bytes(b"weights")
        with tracker.start_run("digits", name, params={"lr": 0.1 if name == "a" else 0.2}) as run:
            policy = run.add_policy("EarlyStopping", monitor="loss", config={"patience": 3})
            for epoch in range(6):
                run.log_epoch(epoch, {"loss": 1 / (epoch + 1)})
                run.log({"batch_loss": 1.0}, step=epoch)
                policy.decide("improved", epoch=epoch, reason="better")
            run.log_checkpoint(f"{name}.pt", epoch=5, metrics={"loss": 0.1})


def test_every_question_is_answered(url: str) -> None:
    record()
    with serving() as page:
        for path in (
            "/info", "/runs?sort=loss&where=params.lr<0.15", "/runs?limit=1&offset=1", "/fields", "/waste",
            "/groups?by=experiment", "/groups?by=params.lr", "/groups?by=status", "/checkpoints", "/runs/a",
            "/runs/a/epochs", "/runs/a/decisions", "/runs/a/checkpoints", "/runs/a/attempts",
            "/runs/a/series?name=batch_loss", "/compare?runs=a,b", "/curves?runs=a,b&metric=loss&x=time",
            "/replay?runs=a,b&patience=1,2,3", "/deletion?runs=a",
        ):  # fmt: skip
            answer = page.client.get(f"/api/v1{path}")
            assert answer.status_code == 200, (path, answer.text)
        (group,) = page.rows("/groups", by="experiment")
        assert (group["value"], group["runs"]) == ("digits", 2)
        assert [row["name"] for row in page.rows("/runs", where="params.lr < 0.15")] == ["a"]


def test_every_change_is_made(url: str) -> None:
    record()
    with serving() as page:
        page.send("PATCH", "/runs/a", {"note": "n", "name": "c", "tags": {"team": "vision"}})
        (row,) = page.rows("/runs", runs="c")
        assert (row["note"], row["tags.team"]) == ("n", "vision")
        (file,) = page.rows("/runs/c/checkpoints")
        assert (
            page.send("PUT", f"/checkpoints/{file['id']}/pin", {"pinned": True}).status_code == 200
        )
        assert [row["pinned"] for row in page.rows("/runs/c/checkpoints")] == [True]
        Path("b.pt").write_bytes(b"changed")
        said = page.send("POST", "/verify", {}).text.splitlines()
        states = {row["run"]: row["state"] for row in json.loads(said[-1])["checkpoints"]}
        assert states == {"b": "modified", "c": "available"}
        assert page.send("POST", "/deletion", {"runs": ["b"]}).status_code == 200
        assert [row["name"] for row in page.rows("/runs")] == ["c"]


def heard(page: Page, run: str, found: list[float]) -> None:
    """Listen until an event names the run for the second time; the first look finds everything new."""
    with page.client.stream("GET", "/api/v1/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("data:") and run in json.loads(line[5:])["runs"]:
                found.append(time.monotonic())
                if len(found) == 2:
                    return


def test_an_epoch_is_told_within_a_second(url: str) -> None:
    run = tracker.start_run("digits", "a")
    run.log_epoch(0, {"loss": 1.0})
    with serving() as page:
        found: list[float] = []
        listening = threading.Thread(target=heard, args=(page, run.id, found))
        listening.start()
        while not found:
            time.sleep(0.01)
        started = time.monotonic()
        run.log_epoch(1, {"loss": 0.5})
        listening.join(10)
        assert len(found) == 2 and found[1] - started < 1.5
        run.finish()


RECORD = """
import tracker
for name in ("a", "b"):
    with tracker.start_run("digits", name, params={"lr": 0.1}) as run:
        run.log_epoch(0, {"loss": 1.0})
"""


@pytest.mark.parametrize("command", [["note", "a", "from a terminal"], ["tag", "a", "team=vision"]])
def test_what_another_process_edits_is_noticed(url: str, script: Any, command: list[str]) -> None:
    recording = script(RECORD)
    assert recording.wait() == 0, recording.stderr.read()
    changes = Changes(locate(url))
    while changes.look() is None:
        pass
    while changes.look() is not None:
        pass
    edit = script(f"from tracker.cli.program import main; main({['runs', *command]!r})")
    assert edit.wait() == 0, edit.stderr.read()
    give_up, found = time.monotonic() + 10, None
    while found is None and time.monotonic() < give_up:
        found = changes.look()
    changes.close()
    assert found is not None and (found.other or found.runs)
