"""Every command explains itself, with an example; the program starts fast and imports little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import tracker
from tests.cli.golden.screen import show
from tests.helpers import ROOT
from tracker.cli import program


def commands(group: click.Group = program, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Give the path of every command."""
    context = click.Context(group)
    yield path
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


ALL = list(commands())


def test_the_commands_are_those_of_the_design() -> None:
    assert {" ".join(path) for path in ALL} >= {
        "runs list", "runs show", "runs compare", "runs watch", "runs tag", "runs note", "runs rename",
        "runs delete", "runs reap", "epochs list", "checkpoints list", "checkpoints verify",
        "checkpoints restore", "checkpoints prune", "checkpoints pin", "decisions list",
        "decisions replay", "decisions waste", "export", "db status", "db upgrade", "db backup",
        "db doctor", "completion", "runs best", "metrics list", "params list",
    }  # fmt: skip


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_and_usage_are_in_the_letters_of_the_terminal(path: tuple[str, ...]) -> None:
    plain = show([*path, "--help"], width=80, LC_ALL="C").out
    assert plain.isascii()
    whole = show([*path, "--help"], width=80, LC_ALL="C.UTF-8").out
    assert plain == whole.replace("…", "...")
    wrong = show([*path, "--no-such-option"], width=80, LC_ALL="C")
    assert wrong.err.isascii() and "Usage: tracker" in wrong.err


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_a_summary_and_an_example(cli: Any, path: tuple[str, ...]) -> None:
    result = cli(*path, "--help")
    assert result.exit_code == 0
    assert "Example:" in result.output
    example = result.output.split("Example:")[1].strip().split("\n")[0]
    wanted = " ".join(("tracker", *path))
    assert wanted in example or len(path) < 2
    assert example.startswith(("tracker ", "eval "))


def summary(command: click.Command) -> str:
    """Return the first sentence of a command's help."""
    sentence = (command.help or "").split("\n\n")[0].replace("\n", " ")
    return sentence if sentence.endswith(".") else f"{sentence}."


def test_a_list_of_commands_has_the_whole_first_sentence_of_each(cli: Any) -> None:
    for path in ALL:
        group = program
        for name in path:
            found = group.get_command(click.Context(group), name)
            assert found is not None
            shown = " ".join(cli(*path[: path.index(name)], "--help").output.split())
            assert f"{name} {summary(found)}" in shown
            group = found if isinstance(found, click.Group) else group


@pytest.mark.parametrize("path", [path for path in ALL if path[-1:] == ("list",)], ids=" ".join)
def test_every_listing_has_the_same_options(cli: Any, path: tuple[str, ...]) -> None:
    said = cli(*path, "--help").output
    for option in ("--where", "--sort", "-n, --limit", "--format [table|csv|json]", "--database"):
        assert option in said


@pytest.mark.parametrize("path", [path for path in ALL if path[-1:] == ("list",)], ids=" ".join)
@pytest.mark.parametrize("there", [True, False], ids=["a run", "no database"])
def test_every_listing_has_three_formats_with_and_without_rows(
    cli: Any, path: tuple[str, ...], there: bool, folder: Path
) -> None:
    if there:
        (folder / "f.pt").write_bytes(b"1")
        with tracker.start_run("digits", "a", {"lr": 0.1}) as run:
            run.log_epoch(0, {"loss": 0.5})
            run.log_checkpoint("f.pt", epoch=0)
            run.add_policy("P").decide("waited", epoch=0, reason="r")
    rows = json.loads(cli(*path, "--format", "json").stdout)
    assert len(rows) == there
    header = cli(*path, "--format", "csv").stdout.split("\n")[0]
    if there:
        assert header.split(",") == list(rows[0])
    table = cli(*path)
    assert bool(table.stdout) == there
    assert bool(table.stderr) == (not there)
    assert (folder / ".tracker").exists() == there


def python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return done.stdout


def test_a_listing_imports_only_what_it_needs() -> None:
    with tracker.start_run("digits", "a", params={"lr": 0.1}) as run:
        run.log_epoch(0, {"loss": 0.5})
    code = """
import sys
from tracker.cli import main
try:
    main(["runs", "list"])
except SystemExit as done:
    assert not done.code, done.code
heavy = "alembic keras numpy pandas pcodec psutil rich tensorflow torch"
print("loaded:", sorted(set(heavy.split()) & set(sys.modules)))
"""
    assert python(code).rstrip().endswith("loaded: []")


def test_the_help_imports_no_database() -> None:
    code = """
import sys
from tracker.cli import main
try:
    main(["--help"])
except SystemExit:
    print("loaded:", sorted({"sqlalchemy", "numpy"} & set(sys.modules)))
"""
    assert python(code).rstrip().endswith("loaded: []")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(cli: Any, shell: str) -> None:
    assert "_TRACKER_COMPLETE" in cli("completion", shell).stdout


def completed(*words: str) -> list[str]:
    """Return what is offered in place of the last word."""
    done = subprocess.run(
        [sys.executable, "-m", "tracker"], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "_TRACKER_COMPLETE": "bash_complete",
             "_PYTHON__M_TRACKER_COMPLETE": "bash_complete",
             "COMP_WORDS": " ".join(("tracker", *words)), "COMP_CWORD": str(len(words))},
    )  # fmt: skip
    assert done.stderr == ""
    return [line.removeprefix("plain,") for line in done.stdout.splitlines()]


def test_names_of_runs_are_completed(folder: Path) -> None:
    for name in ("digits-1", "digits-2", "wine"):
        tracker.start_run("x", name).finish()
    assert completed("runs", "show", "dig") == ["digits-1", "digits-2"]


def test_sort_keys_and_policies_are_completed() -> None:
    with tracker.start_run("x", "a", {"lr": 1}) as run:
        run.log_epoch(0, {"val_loss": 0.5})
        for kind in ("EarlyStopping", "ModelCheckpoint"):
            run.add_policy(kind)
    assert completed("runs", "list", "--sort", "val") == ["val_loss"]
    assert completed("runs", "list", "--sort", "name,-params") == ["name,-params.lr"]
    assert completed("epochs", "list", "--sort", "sup") == ["superseded"]
    assert completed("decisions", "list", "--policy", "Ear") == ["EarlyStopping"]
    assert completed("plot", "--metric", "val") == ["val_loss"]
    assert completed("runs", "list", "--columns", "name,params") == ["name,params.lr"]


def test_a_filter_is_completed_inside() -> None:
    with tracker.start_run("digits", params={"lr": 0.1}) as run:
        run.log_epoch(0, {"val_loss": 1.0})
    assert completed("runs", "list", "--where", "'params.lr < 1 and val'") == [
        "params.lr < 1 and val_loss"
    ]
    assert completed("runs", "list", "--where", "'status = fin'") == ["status = 'finished'"]
    assert completed("runs", "delete", "--where", "'experiment = di'") == ["experiment = 'digits'"]
    assert completed("checkpoints", "list", "--where", "'not (alia'") == ["not (alias"]
