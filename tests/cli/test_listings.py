"""``tracker epochs | decisions | checkpoints`` and ``tracker export``."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import tracker


@pytest.fixture
def run(folder: Path) -> tracker.Run:
    with tracker.start_run("digits", "a", {"lr": 0.1}) as run:
        stopping = run.add_policy("EarlyStopping", monitor="val_loss", config={"patience": 3})
        saving = run.add_policy("ModelCheckpoint", monitor="val_loss")
        for epoch, loss in enumerate([0.3, 0.1, 0.2]):
            run.log_epoch(epoch, {"loss": loss / 2, "val_loss": loss})
            verdict = "waited" if epoch == 2 else "improved"
            stopping.decide(
                verdict,
                epoch=epoch,
                reason=f"reason {epoch}",
                value=loss,
                best=0.1,
                wait=epoch // 2,
            )
            (folder / f"{epoch}.pt").write_bytes(bytes(100))
            run.log_checkpoint(
                f"{epoch}.pt", epoch=epoch, monitor="val_loss", value=loss, policy=saving
            )
            saving.decide("saved", epoch=epoch, reason="saved it", path=folder / f"{epoch}.pt")
    return run


def table(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_epochs_of_one_run_are_a_column_a_metric(run: tracker.Run, cli: Any) -> None:
    head, *rows = table(cli("epochs", "list", "a").stdout)
    assert head == ["epoch", "seconds", "loss", "val_loss"]
    assert [row[-1] for row in rows] == ["0.3", "0.1", "0.2"]
    best = table(cli("epochs", "list", "a", "--sort", "val_loss", "-n", 1).stdout)[1]
    assert best[0] == "1"
    assert len(table(cli("epochs", "list", "--where", "val_loss > 0.1").stdout)) == 3


def test_decisions_show_value_best_wait_of_patience_and_reason(run: tracker.Run, cli: Any) -> None:
    head, *rows = table(cli("decisions", "list", "a", "--policy", "EarlyStopping").stdout)
    assert head == [
        "epoch",
        "policy",
        "monitor",
        "value",
        "best",
        "wait",
        "patience",
        "verdict",
        "reason",
    ]
    assert rows[2] == [
        "2",
        "EarlyStopping",
        "val_loss",
        "0.2",
        "0.1",
        "1",
        "3",
        "waited",
        "reason",
        "2",
    ]
    assert len(rows) == 3
    saved = json.loads(
        cli("decisions", "list", "--where", "verdict = 'saved'", "--format", "json").stdout
    )
    assert [row["path"] for row in saved] == ["0.pt", "1.pt", "2.pt"]


def test_checkpoints_say_which_is_best_and_last(run: tracker.Run, cli: Any) -> None:
    head, *rows = table(cli("checkpoints", "list", "a").stdout)
    assert head[:4] == ["id", "epoch", "alias", "state"]
    assert [row[2] for row in rows] == ["-", "best", "last"]


def test_verify_tells_and_records_what_is_missing_or_modified(
    run: tracker.Run, cli: Any, folder: Path
) -> None:
    assert cli("checkpoints", "verify").exit_code == 0
    (folder / "0.pt").unlink()
    (folder / "1.pt").write_bytes(bytes(99) + b"x")
    result = cli("checkpoints", "verify", "a")
    assert result.exit_code == 1
    assert (
        "2 of 3 files are not as they were saved: 0.pt is missing, 1.pt is modified."
        in result.stderr
    )
    again = cli("checkpoints", "verify", "a", "--format", "json")
    assert again.exit_code == 1
    assert [row["state"] for row in json.loads(again.stdout)] == [
        "missing",
        "modified",
        "available",
    ]
    states = {row["path"]: row["state"] for row in tracker.checkpoints().to_dict("records")}
    assert states == {"0.pt": "missing", "1.pt": "modified", "2.pt": "available"}
    (folder / "0.pt").write_bytes(bytes(100))
    cli("checkpoints", "verify")
    assert tracker.checkpoints()["state"].tolist() == ["available", "modified", "available"]


def test_verify_reads_bytes_and_executes_nothing(cli: Any, folder: Path) -> None:
    (folder / "evil.pt").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with tracker.start_run("digits", "a") as run:
        run.log_checkpoint("evil.pt", epoch=0)
    for words in (
        ["verify"],
        ["list"],
        ["restore", "a", "-o", "copy.pt"],
        ["pin", "a"],
        ["prune", "a", "-y"],
    ):
        assert cli("checkpoints", *words).exit_code == 0
    assert not (folder / "owned").exists()


def test_restore_copies_the_best_and_refuses_what_is_not_the_saved_file(
    run: tracker.Run, cli: Any, folder: Path
) -> None:
    (folder / "2.pt").write_bytes(b"other")
    said = cli("checkpoints", "restore", "a", "-o", "best.pt").stdout
    assert "epoch 1 of a" in said
    assert (folder / "best.pt").read_bytes() == bytes(100)
    (folder / "mine.pt").write_text("mine")
    for words, why in (
        (["a", "-o", "best.pt"], "exists already"),
        (["a", "--alias", "last", "-o", "mine.pt", "--force"], "is not the one that was saved"),
        (["a", "--epoch", 9, "-o", "x.pt"], "no checkpoint of epoch 9"),
        (["a"], "is the checkpoint itself"),
    ):
        result = cli("checkpoints", "restore", *words)
        assert result.exit_code == 1
        assert why in result.stderr
    assert (folder / "mine.pt").read_text() == "mine"
    assert not (folder / "x.pt").exists()


def test_prune_keeps_best_last_pinned_changed_and_the_newest(
    run: tracker.Run, cli: Any, folder: Path
) -> None:
    assert "would delete" in cli("checkpoints", "prune", "a", "--dry-run").stdout
    assert (folder / "0.pt").exists()
    assert "0 files" in cli("checkpoints", "prune", "a", "--keep", 1, "-y").stdout
    cli("checkpoints", "pin", "a", "--epoch", 0)
    assert "0 files" in cli("checkpoints", "prune", "a", "-y").stdout
    cli("checkpoints", "pin", "a", "--epoch", 0, "--undo")
    (folder / "0.pt").write_bytes(b"edited")
    assert "its file is modified" in cli("checkpoints", "prune", "a", "-y").stdout
    (folder / "0.pt").write_bytes(bytes(100))
    assert "1 file, 100 B deleted" in cli("checkpoints", "prune", "a", "-y").stdout
    assert sorted(path.name for path in folder.glob("*.pt")) == ["1.pt", "2.pt"]
    assert tracker.checkpoints()["state"].tolist() == ["pruned", "available", "available"]


def test_export_of_one_run_is_the_csv_of_keras(run: tracker.Run, cli: Any, folder: Path) -> None:
    rows = list(csv.reader(io.StringIO(cli("export", "a").stdout)))
    assert rows[:2] == [["epoch", "loss", "val_loss"], ["0", "0.15", "0.3"]]
    cli("export", "a", "--csv", "-o", "a.csv")
    assert (folder / "a.csv").read_bytes().startswith(b"epoch,loss,val_loss\r\n0,0.15,0.3\r\n")


def test_export_of_all_has_the_runs_columns_in_front(run: tracker.Run, cli: Any) -> None:
    with tracker.start_run("wine", "b") as other:
        other.log_epoch(0, {"loss": 1.0})
    rows = list(csv.DictReader(io.StringIO(cli("export").stdout)))
    assert [row["run"] for row in rows] == ["a"] * 3 + ["b"]
    assert rows[0]["params.lr"] == "0.1"
    wine = list(csv.DictReader(io.StringIO(cli("export", "--where", "experiment = 'wine'").stdout)))
    assert [row["run"] for row in wine] == ["b"]
    assert len(json.loads(cli("export", "a", "b", "--json", "--what", "runs").stdout)) == 2
    assert len(json.loads(cli("export", "--json", "--what", "decisions").stdout)) == 6


def test_a_filter_holds_for_runs_that_are_named(run: tracker.Run, cli: Any, folder: Path) -> None:
    tracker.start_run("wine", "b").finish()
    no_a = ("a", "b", "--where", "name != 'a'")
    (left,) = json.loads(cli("export", *no_a, "--json", "--what", "runs").stdout)
    assert left["name"] == "b"
    assert cli("export", "a", "--where", "name != 'a'").stdout.startswith("run,id,")
    assert "0 files" in cli("checkpoints", "prune", *no_a, "-y").stdout
    assert (folder / "0.pt").exists()
    assert "0.pt" in cli("checkpoints", "prune", "a", "b", "--where", "name = 'a'", "-y").stdout
    assert not (folder / "0.pt").exists()


def test_export_without_a_database_is_a_header(cli: Any, folder: Path) -> None:
    assert cli("export").stdout.startswith("run,")
    assert cli("export", "--json").stdout == "[]\n"
    for what in ("runs", "metrics", "checkpoints", "decisions"):
        assert cli("export", "--what", what).exit_code == 0
    assert not any(folder.iterdir())


def test_seconds_have_their_unit_everywhere(cli: Any) -> None:
    with tracker.start_run("digits", "a") as run:
        for epoch, loss in enumerate([0.1, 0.2]):
            run.log_epoch(epoch, {"val_loss": loss}, seconds=0.906697)
    row = cli("decisions", "waste").stdout.splitlines()[1]
    assert (row.count("0.907 s"), row.count("1.81 s"), "0.906697" in row) == (1, 1, False)


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["-o", "a.json"], b"[\n{"),
        (["-o", "a.JSON"], b"[\n{"),
        (["-o", "a.parquet"], b"PAR1"),
        (["-o", "a.txt"], b"epoch,"),
        (["-o", "a.json", "--csv"], b"epoch,"),
        (["-o", "a.txt", "--format", "json"], b"[\n{"),
    ],
)
def test_an_export_has_the_format_that_is_given_or_that_the_file_is_named_after(
    words: list[str], begins: bytes, cli: Any, folder: Path
) -> None:
    with tracker.start_run("e", name="of-a-format") as run:
        run.log_epoch(0, {"loss": 0.5})
    if begins == b"PAR1":
        pytest.importorskip("pyarrow")
    assert cli("export", "of-a-format", *words).exit_code == 0
    assert (folder / words[1]).read_bytes().startswith(begins)
    assert cli("export", "--csv", "--format", "json").exit_code == 2
