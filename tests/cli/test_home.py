"""``tracker`` by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tracker


def test_without_a_database_it_says_how_to_begin(cli: Any, folder: Path) -> None:
    result = cli()
    assert result.exit_code == 0
    assert "0 runs, none running now." in result.stdout
    assert "tracker.start_run()" in result.stdout
    assert not any(folder.iterdir())


def test_it_shows_what_is_running_the_latest_runs_and_what_to_try(cli: Any, folder: Path) -> None:
    for place in range(6):
        with tracker.start_run("digits", f"run {place}") as run:
            run.log_epoch(0, {"val_loss": place / 10})
    live = tracker.start_run("digits", "live")
    live.log_epoch(0, {"val_loss": 0.25})
    said = cli().stdout
    first, *lines = said.splitlines()
    assert first == f"Database {folder / '.tracker' / 'tracker.db'}: 7 runs, 1 running now."
    assert lines[:2] == ["", "Running now"]
    assert lines[2].startswith("  live  1 epoch  val_loss 0.25 @ 0  for ")
    latest = said.partition("Latest runs\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split("  ")[0] for line in latest] == [
        "name",
        "live",
        "run 5",
        "run 4",
        "run 3",
        "run 2",
    ]
    commands = [line.strip() for line in said.partition("Try\n")[2].splitlines()]
    assert "tracker runs compare live 'run 5'" in commands
    live.finish()
    assert "Running now" not in cli().stdout


def test_a_wrong_command_still_ends_with_the_usage(cli: Any) -> None:
    assert cli("rums").exit_code == 2
