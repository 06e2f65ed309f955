"""``tracker runs``: list, show, compare, watch and the changing ones."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import tracker


def record(name: str, losses: list[float], **more: Any) -> tracker.Run:
    with tracker.start_run(more.pop("experiment", "digits"), name, **more) as run:
        for epoch, loss in enumerate(losses):
            run.log_epoch(epoch, {"loss": loss / 2, "val_loss": loss}, seconds=0.5)
    return run


def stopped(name: str, losses: list[float]) -> tracker.Run:
    """Record a run as early stopping that restored the best weights leaves it."""
    with tracker.start_run("digits", name) as run:
        policy = run.add_policy("EarlyStopping", monitor="val_loss", config={"patience": 1})
        for epoch, loss in enumerate(losses):
            run.log_epoch(epoch, {"val_loss": loss})
        best = losses.index(min(losses))
        last = len(losses) - 1
        reason = f"val_loss {losses[-1]} did not beat {min(losses)} (epoch {best}); 1 of 1 waits"
        policy.decide("stopped", epoch=last, reason=reason, best=min(losses), best_epoch=best)
        policy.decide(
            "restored", epoch=last, reason="the best ones", best=min(losses), best_epoch=best
        )
        run.note_stop(reason)
    return run


def test_the_list_has_best_restored_and_last_epoch_side_by_side(cli: Any) -> None:
    run = stopped("a", [0.3, 0.1, 0.2])
    head, row = cli("runs", "list").stdout.splitlines()
    assert head.split() == [
        "name", "id", "experiment", "status", "epochs", "best", "val_loss", "restored", "last",
        "started", "seconds",
    ]  # fmt: skip
    assert row.split()[:11] == [
        "a", run.id[:8], "digits", "stopped_early", "3", "0.1", "@", "1", "1", "0.2", "@",
    ]  # fmt: skip


def test_the_list_is_filtered_sorted_and_cut(cli: Any) -> None:
    for name, loss in (("a", 0.3), ("b", 0.1), ("c", 0.2)):
        record(name, [loss], params={"lr": loss})
    said = cli(
        "runs",
        "list",
        "--where",
        "params.lr > 0.1",
        "--sort",
        "val_loss",
        "-n",
        1,
        "--format",
        "json",
    )
    assert [row["name"] for row in json.loads(said.stdout)] == ["c"]
    assert len(json.loads(cli("runs", "list", "-n", 0, "--format", "json").stdout)) == 3
    assert [
        row["name"] for row in json.loads(cli("runs", "list", "c", "a", "--format", "json").stdout)
    ] == ["c", "a"]


def test_json_has_the_keys_of_the_frame_and_exact_values(cli: Any) -> None:
    record("a", [0.1 + 0.2], params={"lr": 1e-3}, tags={"t": "x"})
    (row,) = json.loads(cli("runs", "list", "--format", "json").stdout)
    assert list(row) == list(tracker.runs().columns)
    assert row["val_loss"] == 0.1 + 0.2


def test_an_empty_list_says_why(cli: Any) -> None:
    assert "No runs in" in cli("runs", "list").stderr
    record("a", [0.1])
    assert "matches the filter" in cli("runs", "list", "--where", "epochs > 5").stderr


def test_text_of_others_cannot_steer_the_terminal(cli: Any) -> None:
    evil = "\x1b]0;owned\x07\x1b[2Jx\u202egnp\r\ny"
    record(evil, [0.1], params={evil: evil}, tags={evil: evil})
    for words in (
        ["runs", "list"],
        ["runs", "show"],
        ["epochs", "list"],
        ["runs", "list", "--format", "json"],
    ):
        said = cli(*words).stdout
        assert not any(letter in said for letter in "\x1b\x07\u202e\r")
    assert "xgnp  y" in cli("runs", "list").stdout
    assert json.loads(cli("runs", "list", "--format", "json").stdout)[0]["name"] == evil


def test_show_says_in_one_sentence_why_it_ended_and_which_weights_it_holds(cli: Any) -> None:
    stopped("a", [0.3, 0.1, 0.2])
    said = cli("runs", "show", "a").stdout.splitlines()
    assert said[1] == (
        "Stopped early after 3 epochs: val_loss 0.2 did not beat 0.1 (epoch 1); 1 of 1 waits (EarlyStopping)."
    )
    assert (
        said[2] == "It holds the weights of epoch 1, which were restored: the best (val_loss 0.1)."
    )


def test_show_says_when_the_last_weights_are_not_the_best(cli: Any) -> None:
    record("a", [0.1, 0.3])
    said = cli("runs", "show").stdout.splitlines()
    assert said[1:3] == [
        "Finished after 2 epochs.",
        "It holds the weights of its last epoch, 1; the best was epoch 0 (val_loss 0.1).",
    ]


def test_show_tells_a_failure_with_its_exception(cli: Any) -> None:
    with pytest.raises(ZeroDivisionError), tracker.start_run("digits", "a") as run:
        run.log_epoch(0, {"loss": 1.0})
        _ = 1 / 0
    assert (
        "Failed after 1 epoch: ZeroDivisionError: division by zero." in cli("runs", "show").stdout
    )
    with pytest.raises(KeyboardInterrupt), tracker.start_run("digits", "b"):
        raise KeyboardInterrupt
    assert "Interrupted after 0 epochs" in cli("runs", "show", "b").stdout


def test_show_has_everything_that_is_known(cli: Any, folder: Path) -> None:
    (folder / "w.pt").write_bytes(b"123")
    parent = record("sweep", [0.5])
    with tracker.start_run(
        "digits", "a", {"lr": 0.1, "sizes": [1, 2]}, {"team": "x"}, parent=parent
    ) as run:
        run.log_epoch(0, {"val_loss": math.nan})
        run.log({"batch": 1.0})
        run.log_checkpoint("w.pt", epoch=0, monitor="val_loss", value=0.5)
        run.add_policy(
            "EarlyStopping", monitor="val_loss", config={"patience": 7}, rules="tracker-1"
        )
        run.capture(model={"class": "Net", "parameters": 12})
    brief = cli("runs", "show", "a").stdout
    assert "model.class" in brief
    assert "machine.cores" not in brief
    assert "of the machine and the packages: --all" in brief
    said = cli("runs", "show", "a", "--all").stdout
    for part in (
        "sizes  [1, 2]", "team  x", "parent", "sweep", "w.pt", "3 B", "patience=7", "tracker-1",
        "model.class", "Net", "python", "machine.cores", "batch", "nan @ 0",
    ):  # fmt: skip
        assert part in said, part
    assert "children" in cli("runs", "show", "sweep").stdout
    found = json.loads(cli("runs", "show", "a", "--format", "json").stdout)
    assert found["params"] == {"lr": 0.1, "sizes": [1, 2]}
    assert found["metrics"]["val_loss"]["last"] == "NaN"
    assert found["attempts"][0]["captured"]["model"] == {"class": "Net", "parameters": 12}


def test_show_counts_what_was_dropped_or_waited(cli: Any, sql: Any) -> None:
    record("a", [0.1])
    from tracker.storage.database import locate
    from tracker.storage.prepare import writing

    with writing(locate()) as connection:
        connection.exec_driver_sql("UPDATE attempt SET spooled = 3, dropped = 5, waited = 2.25")
    said = cli("runs", "show").stdout
    assert "3 records kept outside the database" in said
    assert "5 points of step metrics could not be kept" in said
    assert "2.2 seconds of waiting for the disk in calls of log" in said


def test_compare_shows_params_that_differ_and_each_metric(cli: Any) -> None:
    record("a", [0.3, 0.1], params={"lr": 0.1, "units": 8})
    record("b", [0.2], params={"lr": 0.01, "units": 8, "extra": None})
    said = cli("runs", "compare", "a", "b").stdout
    rows = {line.split("  ")[0]: line.split()[1:] for line in said.splitlines()}
    assert rows["params.lr"] == ["0.1", "0.01"]
    assert "params.units" not in rows
    assert rows["val_loss best"] == ["best", "0.1", "@", "1", "0.2", "@", "0"]
    assert "params.units" in cli("runs", "compare", "a", "b", "--all").stdout
    table = json.loads(
        cli("runs", "compare", "a", "b", "--metric", "loss", "--format", "json").stdout
    )
    cells = {row["field"]: (row["a"], row["b"]) for row in table}
    assert cells["loss best"] == (0.05, 0.1)
    assert cells["loss last_epoch"] == (1, 0)
    assert cells["params.lr"] == (0.1, 0.01)
    assert "val_loss best" not in cells


GROWING = """
import time, tracker
with tracker.start_run("digits", "live") as run:
    for epoch in range(3):
        run.log_epoch(epoch, {"loss": 1 / (epoch + 1)})
        if epoch == 0:
            print("ready", flush=True)
        time.sleep(0.4)
"""


def test_watch_follows_a_run_to_its_end(cli: Any, script: Callable[..., Any]) -> None:
    process = script(GROWING)
    assert process.stdout.readline() == "ready\n"
    said = cli("runs", "watch", "--every", 0.1).stdout.splitlines()
    assert [line.split()[:2] for line in said[:3]] == [
        ["epoch", "0"],
        ["epoch", "1"],
        ["epoch", "2"],
    ]
    assert said[3] == "Finished after 3 epochs."


def test_tags_notes_and_names_are_changed(cli: Any) -> None:
    record("a", [0.1], tags={"old": "1"})
    assert cli("runs", "tag", "a", "team=x", "keep", "-d", "old").exit_code == 0
    assert cli("runs", "note", "a", "cleaned labels").exit_code == 0
    assert cli("runs", "rename", "a", "baseline").exit_code == 0
    row = tracker.runs().iloc[0]
    assert (row["name"], row["tags.team"], row["tags.keep"], row["note"]) == (
        "baseline", "x", "", "cleaned labels",
    )  # fmt: skip
    assert "tags.old" not in row
    cli("runs", "note", "baseline", "--clear")
    assert pd.isna(tracker.runs()["note"].iloc[0])


def test_delete_takes_the_records_and_asks_first(cli: Any, folder: Path, sql: Any) -> None:
    (folder / "w.pt").write_bytes(b"1")
    parent = record("a", [0.1])
    child = record("child", [0.2], parent=parent)
    with tracker.start_run(resume="a") as run:
        run.log_checkpoint("w.pt", epoch=0, policy=run.add_policy("P"))
        run.log({"x": 1.0})
    assert cli("runs", "delete", "a", input="n\n").exit_code == 1
    assert cli("runs", "delete", "a", input="y\n").exit_code == 0
    assert tracker.runs()["id"].tolist() == [child.id]
    for table in ("attempt", "checkpoint", "policy", "series", "clock", "epoch", "summary"):
        assert all(row == (child.id,) for row in sql(f"SELECT run_id FROM {table}"))
    assert sql("PRAGMA foreign_key_check") == []
    assert (folder / "w.pt").exists()


def test_delete_with_files_leaves_what_is_pinned_or_changed(cli: Any, folder: Path) -> None:
    with tracker.start_run("digits", "a") as run:
        for name in ("plain", "pinned", "changed"):
            (folder / name).write_bytes(name.encode())
            run.log_checkpoint(name, epoch=len(name))
    cli("checkpoints", "pin", "a", "--epoch", len("pinned"))
    (folder / "changed").write_bytes(b"mine")
    said = cli("runs", "delete", "a", "--yes", "--files").stdout
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["changed", "pinned"]
    assert "it is pinned" in said
    assert "not the file that was recorded" in said


def test_deleting_gives_the_space_back(cli: Any, folder: Path) -> None:
    with tracker.start_run("digits", "big") as run:
        run.log_params({f"p{n}": "x" * 10_000 for n in range(200)})
    record("small", [0.1])
    before = (folder / ".tracker/tracker.db").stat().st_size
    cli("runs", "delete", "big", "-y")
    assert (folder / ".tracker/tracker.db").stat().st_size < before / 5


def test_a_run_that_is_being_recorded_is_not_deleted(cli: Any) -> None:
    run = tracker.start_run("digits", "a")
    result = cli("runs", "delete", "a", "-y")
    assert result.exit_code == 1
    assert f"process {os.getpid()}" in result.stderr
    run.finish()


def test_reap_writes_down_who_is_lost(cli: Any, script: Callable[..., Any], sql: Any) -> None:
    assert "No runs in" in cli("runs", "reap").stdout
    code = "import tracker, os\ntracker.start_run(name='dies').log_epoch(0, {'loss': 1.0})\nos._exit(1)"
    script(code).wait()
    assert "Lost: dies." in cli("runs", "reap").stdout
    assert sql("SELECT status FROM run") == [("lost",)]
    assert "No run was lost." in cli("runs", "reap").stdout
