"""Runs of a sweep."""

from __future__ import annotations

import json

import pytest

import tracker
from tests.helpers.cli import runner
from tracker.cli import program


@pytest.fixture
def sweep() -> None:
    """Record a sweep of two runs, and another run."""
    with tracker.start_run("sweep", name="sweep") as parent:
        for number in range(2):
            with tracker.start_run("sweep", name=f"child-{number}", parent=parent) as run:
                for epoch in range(6):
                    run.log_epoch(epoch, {"val_loss": abs(epoch - 2) + number / 10})
    with tracker.start_run("other", name="alone") as run:
        run.log_epoch(0, {"val_loss": 1.0})


def ask(*arguments: str) -> str:
    """Return what a command prints."""
    result = runner().invoke(program, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.usefixtures("sweep")
def test_children_are_listed_with_their_parent() -> None:
    rows = json.loads(ask("runs", "list", "sweep", "--children", "--format", "json"))
    assert [row["name"] for row in rows] == ["sweep", "child-0", "child-1"]
    assert rows[1]["parent"] == rows[0]["id"]


@pytest.mark.usefixtures("sweep")
def test_a_table_shows_them_under_it() -> None:
    names = [line[:11].strip() for line in ask("runs", "list", "--children").splitlines()[1:]]
    assert names == ["alone", "sweep", "└ child-1", "└ child-0"]


@pytest.mark.usefixtures("sweep")
def test_a_group_is_replayed_by_its_parent() -> None:
    call = ("decisions", "replay", "sweep", "--children", "--patience", "2", "--format", "json")
    found = [(row["run"], row["stop_epoch"]) for row in json.loads(ask(*call))]
    assert found == [("child-0", 4), ("child-1", 4)]  # the parent trained nothing
