"""``tracker checkpoints``: what it takes, where a file comes from, files that moved, and the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tracker


def save(run: tracker.Run, path: str, epoch: int, value: float) -> None:
    text = f"{run.name} {value}".ljust(100)
    run.save_checkpoint(
        path, lambda to: to.write_text(text), epoch=epoch, monitor="val_loss", value=value,
        metrics={"val_loss": value},
    )  # fmt: skip


@pytest.fixture
def runs() -> None:
    """Two runs that save under one name, the better one first, and four files of another run."""
    for name, value in (("a", 0.1), ("b", 0.5)):
        with tracker.start_run("digits", name=name, params={"lr": 0.01}) as run:
            save(run, "best.pt", 7, value)
    with tracker.start_run("letters", name="c") as run:
        for epoch, value in enumerate((0.4, 0.3, 0.2, 0.9)):
            save(run, f"c/{epoch}.pt", epoch, value)


def test_the_best_is_restored_by_its_run_although_another_run_took_its_name(
    runs: None, cli: Any
) -> None:
    assert "epoch 7 of a" in cli("checkpoints", "restore", "a", "best", "--to", "back.pt").stdout
    assert Path("back.pt").read_text().strip() == "a 0.1"
    cli("checkpoints", "restore", "c", 1, "--to", "one.pt")
    assert Path("one.pt").read_text().strip() == "c 0.3"
    for words, said in (
        (("a", "worst"), "possible are best, last and the number"),
        (("a", "best", "--epoch", 1), "leave out --alias"),
    ):
        result = cli("checkpoints", "restore", *words, "--to", "x.pt")
        assert result.exit_code == 2 and said in result.stderr


def test_totals_say_what_each_experiment_takes_and_what_pruning_frees(runs: None, cli: Any) -> None:
    rows = json.loads(cli("checkpoints", "totals", "--format", "json").stdout)
    assert rows == [
        {"experiment": "letters", "runs": 1, "files": 4, "bytes": 400, "kept_files": 0, "kept_bytes": 0, "frees": 200},
        {"experiment": "digits", "runs": 2, "files": 2, "bytes": 200, "kept_files": 1, "kept_bytes": 100, "frees": 0},
    ]  # fmt: skip
    freed = json.loads(cli("checkpoints", "list", "c", "--format", "json").stdout)
    assert [row["frees"] for row in freed] == [100, 100, None, None]
    Path("other-name").hardlink_to("c/0.pt")
    freed = json.loads(cli("checkpoints", "list", "c", "--format", "json").stdout)
    assert [row["frees"] for row in freed] == [0, 100, None, None]


@pytest.mark.parametrize(
    ("options", "going"),
    [
        ((), [0, 1]),
        (("--best", 2), [0]),
        (("--best", 3), []),
        (("--every", 2), [0]),
        (("--keep", 1), [0]),
        (("--keep", 2, "--max-size", "350"), [0]),
        (("--keep", 2, "--max-size", "1B"), [0, 1]),
    ],
)
def test_prune_keeps_the_best_the_newest_every_nth_and_what_fits(
    runs: None, cli: Any, options: tuple[Any, ...], going: list[int]
) -> None:
    said = cli("checkpoints", "prune", "c", *options, "--dry-run").stdout
    assert [epoch for epoch in range(4) if f"c/{epoch}.pt" in said] == going


def test_show_says_where_a_file_comes_from(runs: None, cli: Any) -> None:
    said = cli("checkpoints", "show", "a").stdout
    for words in (("run", "a"), ("epoch", "7"), ("metrics.val_loss", "0.1"), ("params.lr", "0.01")):
        assert any(
            line.split("  ")[0] == words[0] and line.endswith(words[1])
            for line in said.splitlines()
        )
    (fact,) = json.loads(cli("checkpoints", "show", "a", "best", "--format", "json").stdout)
    assert (fact["kept"], fact["state"], fact["path"]) == ("best", "available", "best.pt")
    tracker.start_run(resume="c").finish()
    with tracker.start_run(resume="c") as run:
        save(run, "c/9.pt", 9, 1.0)
    (fact,) = json.loads(cli("checkpoints", "show", "c", "last", "--format", "json").stdout)
    assert fact["parents"] == [{"relation": "resumed from", "run": "c", "attempt": 2}]


def test_gc_and_db_status_say_what_is_kept_why_and_what_it_takes(runs: None, cli: Any) -> None:
    said = cli("checkpoints", "gc", "--dry-run").stdout
    assert "kept    a epoch 7 best.pt (100 B): it is the best of its experiment by val_loss" in said
    assert "1 file, 100 B kept; 0 files, 0 B would go." in said
    (status,) = json.loads(cli("db", "status", "--format", "json").stdout)
    assert (status["kept_files"], status["kept_size"]) == (1, 100)
    assert "would go a epoch 7" in cli("checkpoints", "gc", "--max-size", "1B", "--dry-run").stdout
    assert "1 file, 100 B deleted." in cli("checkpoints", "gc", "--keep", "none").stdout
    assert "kept files    0" in cli("db", "status").stdout
    assert "0 files, 0 B kept; 0 files, 0 B deleted." in cli("checkpoints", "gc").stdout
    assert Path("best.pt").read_text().strip() == "b 0.5"


def test_a_folder_that_was_moved_is_found_again(runs: None, cli: Any) -> None:
    Path("c").rename("archive")
    assert "would be at" in cli("checkpoints", "relocate", "c", "archive", "--dry-run").stdout
    assert set(tracker.checkpoints("c")["state"]) == {"missing"}
    assert cli("checkpoints", "relocate", "c", "archive").stdout.count("now at") == 4
    assert set(tracker.checkpoints("c")["state"]) == {"available"}
    Path("archive/2.pt").write_text("something else")
    result = cli("checkpoints", "relocate", "archive", "archive")
    assert result.exit_code == 1 and "is not the file that was saved" in result.stdout
    assert cli("checkpoints", "relocate", "nowhere", "archive").exit_code == 2


def test_a_file_that_was_moved_or_made_elsewhere_is_adopted(runs: None, cli: Any) -> None:
    Path("c/2.pt").rename("mine.pt")
    assert "is checkpoint" in cli("checkpoints", "adopt", "mine.pt").stdout
    row = tracker.checkpoints("c").query("epoch == 2").iloc[0]
    assert (row["state"], row["path"], row["alias"]) == ("available", "mine.pt", "best")
    Path("new.pt").write_text("made elsewhere")
    for words, said in (
        (("new.pt",), "name the run that it belongs to with --run"),
        (("mine.pt",), "registered already"),
        (("gone.pt",), "neither a regular file nor a folder"),
        (("new.pt", "--run", "nobody"), "no run 'nobody'"),
    ):
        result = cli("checkpoints", "adopt", *words)
        assert result.exit_code > 0 and said in result.stderr, result.stderr
    cli(
        "checkpoints",
        "adopt",
        "new.pt",
        "--run",
        "c",
        "--epoch",
        4,
        "--monitor",
        "val_loss",
        "--value",
        0.05,
    )
    row = tracker.checkpoints("c").query("path == 'new.pt'").iloc[0]
    assert (row["epoch"], row["value"], row["alias"]) == (4, 0.05, "best, last")


def test_verify_reads_several_files_at_a_time(runs: None, cli: Any) -> None:
    Path("c/1.pt").write_text("changed")
    for jobs in (1, 4):
        result = cli("checkpoints", "verify", "c", "--jobs", jobs, "--format", "json")
        assert result.exit_code == 1
        assert [row["state"] for row in json.loads(result.stdout)].index("modified") == 1
