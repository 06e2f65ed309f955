"""A wrong call ends with a sentence and 2, a failed one with 1; never with a traceback."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers import ROOT


@pytest.fixture
def run() -> tracker.Run:
    with tracker.start_run("digits", "digits-1", params={"lr": 0.1}) as run:
        run.log_epoch(0, {"loss": 0.5, "val_loss": 0.5})
    return run


WRONG = [
    (["runs", "show", "digit-1"], 2, "There is no run 'digit-1': did you mean digits-1?"),
    (["runs", "list", "--where", "val_los < 1"], 2, "did you mean val_loss"),
    (["runs", "list", "--where", "val_loss <"], 2, "Expected a field"),
    (["runs", "list", "--sort", "nothing"], 2, "There is no field 'nothing'"),
    (["runs", "compare", "digits-1"], 2, "name two or more"),
    (["runs", "tag", "digits-1"], 2, "No tag is given"),
    (["runs", "note", "digits-1"], 2, "--clear"),
    (["runs", "rename", "digits-1", " "], 2, "The name is empty"),
    (["decisions", "list", "--policy", "EarlyStoping"], 2, "No policy"),
    (["checkpoints", "restore", "digits-1"], 1, "has no checkpoint"),
    (["checkpoints", "prune"], 2, "Name runs"),
    (["export", "--parquet"], 2, "name a file with -o"),
    (["export", "-o", "file/x.csv"], 1, "cannot be"),
    (["runs", "list", "--database", "text.db"], 1, "a text file, not a tracker database"),
    (["runs", "list", "--database", "other.db"], 1, "another program's database (tables: theirs)"),
    (
        ["runs", "list", "--database", "mysql://u:secret@h/d"],
        2,
        "possible are sqlite and postgresql",
    ),
    (["db", "backup", "--database", "none.db"], 2, "No database at"),
    (["runs", "list", "--database", "othr.db"], 2, "othr.db: did you mean other.db or"),
    (["db", "doctor", "--database", "no/x.db"], 2, "/no does not exist."),
    (["runs", "show", ""], 2, "'' names no run: give an id"),
    (["runs", "watch", " "], 2, "' ' names no run"),
    (["runs", "watch", "--every", "0"], 2, "--every is 0: it must be more than 0 seconds"),
    (["runs", "watch", "--every", "-1"], 2, "--every is -1"),
    (["runs", "watch", "--every", "nan"], 2, "--every is nan"),
    (["epochs", "list", ""], 2, "'' names no run"),
    (["checkpoints", "pin", ""], 2, "'' names no run"),
    (["runs", "compare", "zzz", "digits-1"], 2, "There is no run 'zzz': there are digits-1."),
    (["export", "--csv", "--json"], 2, "--csv and --json exclude each other"),
    (["db", "backup", "-o", "file"], 1, "exists already"),
    (
        ["runs", "show", "digits"],
        2,
        "There is no run 'digits', but an experiment: its runs are those",
    ),
    (["runs", "compare", "digits-1", "val_loss"], 2, "but a metric: give it as --metric val_loss"),
    (["runs", "list", "--columns", ""], 2, "--columns names no field"),
    (["runs", "list", "--sort", "age"], 2, "did you mean started?"),
    (["runs", "list", "--sort", "lrr"], 2, "did you mean params.lr"),
    (["runs", "list", "--database", "binary.db"], 1, "a binary file, not a tracker database"),
]


@pytest.mark.parametrize(("words", "code", "said"), WRONG, ids=[" ".join(one[0]) for one in WRONG])
def test_bad_input_is_answered_with_a_sentence(
    run: tracker.Run, cli: Any, folder: Path, words: list[str], code: int, said: str
) -> None:
    (folder / "file").write_text("")
    (folder / "binary.db").write_bytes(b"\0\1" * 1000)
    (folder / "text.db").write_text("hello, I am no database at all" * 100)
    with sqlite3.connect("other.db") as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = {path: path.read_bytes() for path in folder.glob("*.db")}
    result = cli(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert result.stderr.startswith("Error: ")
    assert "secret" not in result.stderr
    assert {path: path.read_bytes() for path in folder.glob("*.db")} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "list"], "There is no command 'run': did you mean runs?"),
        (["runs", "lst"], "There is no command 'lst': did you mean list?"),
        (["compare", "digits-1"], "There is no command 'compare': did you mean runs compare?"),
        (["show"], "There is no command 'show': did you mean runs show or checkpoints show?"),
        (["quux"], "There is no command 'quux': there are runs, epochs, metrics, params,"),
        (["help"], "There is no command 'help': did you mean program --help?"),
        (["runs", "help"], "There is no command 'help': did you mean program runs --help?"),
        (
            ["runs", "list", "--sort", "mae %"],
            'a name that has it stands in double quotes, "like this".',
        ),
        (
            ["--database", "x.db", "runs", "show"],
            " runs show --database …",
        ),
        (["runs", "--format", "csv", "list"], "--format comes after the command: "),
        (["--colour", "runs"], "No such option"),
    ],
)
def test_a_command_or_option_that_is_not_there_is_answered_with_what_is_meant(
    words: list[str], said: str, cli: Any
) -> None:
    result = cli(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_closed_output_is_no_error(run: tracker.Run) -> None:
    command = f"'{sys.executable}' -m tracker"
    for words in ("", "runs list", "export"):
        shell = ["sh", "-c", f"{command} {words} >&-"]
        result = subprocess.run(shell, stderr=subprocess.PIPE, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, "")


def test_a_name_of_several_runs_means_the_newest_and_a_note_names_the_others(
    run: tracker.Run,
) -> None:
    with tracker.start_run("digits", "digits-1") as second:
        pass
    command = [sys.executable, "-m", "tracker", "runs", "show", "--format", "json"]
    newest = subprocess.run([*command, "digits-1"], capture_output=True, text=True, check=True)
    assert json.loads(newest.stdout)["run"]["id"] == second.id
    assert "2 runs are named digits-1" in newest.stderr and "digits-1@1 or an id" in newest.stderr
    first = subprocess.run([*command, "digits-1@1"], capture_output=True, text=True, check=True)
    assert (json.loads(first.stdout)["run"]["id"], first.stderr) == (run.id, "")


def test_an_ambiguous_beginning_of_an_id_lists_the_candidates(cli: Any) -> None:
    ids: list[str] = []
    while not (twins := [one for one in ids if sum(other[0] == one[0] for other in ids) > 1]):
        with tracker.start_run("digits") as another:
            ids.append(another.id)
    result = cli("runs", "show", twins[0][0])
    assert result.exit_code == 2
    assert all(f"@{twin[:8]}" in result.stderr for twin in twins)


def test_an_unknown_metric_lists_those_there_are(run: tracker.Run, cli: Any) -> None:
    with tracker.start_run("digits", "digits-2"):
        pass
    result = cli("runs", "compare", "digits-1", "digits-2", "--metric", "accuracy")
    assert result.exit_code == 2
    assert "'accuracy'" in result.stderr
    assert "val_loss" in result.stderr


def test_terminal_control_in_an_error_is_taken_out(run: tracker.Run, cli: Any) -> None:
    result = cli("runs", "show", "\x1b[31mred\x07")
    assert result.exit_code == 2
    assert "\x1b" not in result.stderr
    assert "\x07" not in result.stderr


def test_a_reader_that_has_seen_enough_ends_it_quietly(run: tracker.Run) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-m", "tracker", "export", "--what", "epochs"],
        stdout=write, stderr=subprocess.PIPE, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(write)
    assert process.stderr == ""


def test_a_folder_that_cannot_be_written_is_named(
    run: tracker.Run, script: Callable[..., Any], folder: Path
) -> None:
    (folder / "locked").mkdir(mode=0o555)
    code = "from tracker.cli import main; main(['export', '-o', 'locked/x.csv'])"
    process = script(code, unprivileged=True)
    _, said = process.communicate()
    assert process.returncode == 1
    assert said.startswith("Error: ")
    assert "locked/x.csv cannot be written" in said


def test_the_plain_locale_still_prints(run: tracker.Run, folder: Path) -> None:
    with tracker.start_run("digits", "größe→1"):
        pass
    for encoding in ("ascii", "utf-8"):
        process = subprocess.run(
            [sys.executable, "-m", "tracker", "runs", "list"], capture_output=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C", "PYTHONIOENCODING": encoding},
        )  # fmt: skip
        assert process.returncode == 0, process.stderr
        assert b"digits-1" in process.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("words", ["runs list", "runs show", "export", "export --json"])
def test_a_disk_that_is_full_is_told_in_a_sentence(run: tracker.Run, words: str) -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "tracker", *words.split()], stdout=full, stderr=subprocess.PIPE,
            text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    assert process.stderr == "Error: The output cannot be written: No space left on device.\n"
    assert process.returncode == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_csv_and_json_are_valid_whatever_the_locale(folder: Path, encoding: str) -> None:
    with tracker.start_run("digits", "größe→1") as run:
        run.log_epoch(0, {"loss": 1.0})

    def said(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "tracker", *words], capture_output=True, check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
        ).stdout.decode("utf-8")  # fmt: skip

    assert json.loads(said("runs", "show", "--format", "json"))["run"]["name"] == "größe→1"
    for words in (("export", "--what", "runs"), ("runs", "list")):
        csv, array = (
            ("--csv", "--json") if words[0] == "export" else ("--format=csv", "--format=json")
        )
        assert json.loads(said(*words, array))[0]["name"] == "größe→1"
        assert "größe→1," in said(*words, csv)
