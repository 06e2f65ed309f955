"""``tracker runs tag | note | delete`` of many runs at once."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import tracker

FEW = ("--where", "epochs < 2")


@pytest.fixture(autouse=True)
def runs() -> None:
    """Record short, brief and long; the first two have one epoch."""
    for name, epochs in (("short", 1), ("brief", 1), ("long", 2)):
        with tracker.start_run("digits", name, tags={"draft": ""}) as run:
            for epoch in range(epochs):
                run.log_epoch(epoch, {"loss": 1.0})


def left(where: str) -> list[str]:
    return sorted(tracker.runs(where)["name"])


def test_tags_are_set_and_removed_on_all_runs_that_match(cli: Any) -> None:
    said = cli("runs", "tag", *FEW, "bad=yes", "-d", "draft").stdout
    assert said == "2 runs tagged: brief, short.\n"
    assert left("tags.bad = 'yes' and tags.draft is null") == ["brief", "short"]
    assert left("tags.draft is not null") == ["long"]


def test_notes_are_written_and_cleared_on_all_runs_that_match(cli: Any) -> None:
    cli("runs", "note", *FEW, "too short")
    assert left("note = 'too short'") == ["brief", "short"]
    cli("runs", "note", *FEW, "--clear")
    assert left("note is null") == ["brief", "long", "short"]
    assert cli("runs", "note", *FEW, "two", "texts").exit_code == 2


def test_delete_takes_a_filter_and_asks(cli: Any) -> None:
    assert cli("runs", "delete", *FEW, input="n\n").exit_code == 1
    assert "Deleted the 2 runs brief, short" in cli("runs", "delete", *FEW, "-y").stdout
    assert left("epochs > 0") == ["long"]


def test_a_question_that_nobody_can_answer_names_the_option() -> None:
    # A process of its own: what Click's runner makes of an empty input differs by release.
    words = [sys.executable, "-m", "tracker", "runs", "delete", *FEW]
    asked = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
    assert len(left("epochs > 0")) == 3


@pytest.mark.parametrize("words", [["tag", "bad"], ["note", "bad"], ["delete", "-y"]])
def test_a_dry_run_lists_and_changes_nothing(cli: Any, words: list[str]) -> None:
    command, *rest = words
    said = cli("runs", command, *FEW, "--dry-run", *rest).stdout.splitlines()
    assert [line.split(": ")[-1] for line in said] == ["brief", "short", "2 runs."]
    assert left("note is null and tags.draft is not null") == ["brief", "long", "short"]
    assert "tags.bad" not in tracker.runs()


@pytest.mark.parametrize("words", [["tag", "bad"], ["note", "bad"], ["delete", "-y"]])
def test_a_filter_that_nothing_matches_says_so(cli: Any, words: list[str]) -> None:
    command, *rest = words
    result = cli("runs", command, "--where", "epochs > 9", *rest)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "matches the filter" in result.stderr


@pytest.mark.parametrize("command", ["tag", "note", "delete"])
def test_neither_a_run_nor_a_filter_is_refused(cli: Any, command: str) -> None:
    result = cli("runs", command)
    assert result.exit_code == 2
    assert "--where" in result.stderr
    assert len(left("epochs > 0")) == 3
