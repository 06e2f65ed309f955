"""A later run that takes a file's name does not take its bytes, while they are worth keeping."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.errors import BadValue
from tracker.maintenance import store
from tracker.maintenance.checkpoints import pin, restore, verify
from tracker.queries.checkpoints import find_checkpoint
from tracker.storage.database import reading
from tracker.storage.location import locate

STORE = Path(".tracker/checkpoints")


def train(values: list[float], path: str = "best.pt", **options: Any) -> tracker.Run:
    """Save each value's file under one name, as a loop that keeps the best does."""
    with tracker.start_run("digits", **options) as run:
        for epoch, value in enumerate(values):
            facts: dict[str, Any] = {"epoch": epoch, "monitor": "val_loss", "value": value}
            content = f"{run.id} {value}"
            run.save_checkpoint(path, lambda to: to.write_text(content), **facts)  # noqa: B023
            run.log_epoch(epoch, {"val_loss": value})
    return run


def leave(content: str) -> Path:
    """Put a file into the store that no checkpoint names, as a kill does."""
    STORE.mkdir(exist_ok=True)
    path = STORE.absolute() / f"{hashlib.sha256(content.encode()).hexdigest()}-{'1' * 12}.pt"
    path.write_text(content)
    return path


def kept() -> list[float]:
    """Return the values of the files in the store, each as its file has it."""
    rows = tracker.checkpoints().query("state == 'available' and kept.notna()")
    assert set(rows["file"]) == {str(path.absolute()) for path in STORE.iterdir()}
    for row in rows.itertuples():
        assert Path(row.file).read_text().endswith(f" {row.value}")
    return list(rows["value"])


def test_of_ten_runs_of_a_script_the_best_can_be_restored_and_two_files_take_room() -> None:
    values = [0.5, 0.3, 0.6, 0.2, 0.7, 0.25, 0.9, 0.4, 0.8, 0.6]
    runs = [train([value + 1, value]) for value in values]
    assert kept() == [0.2]
    assert len(list(STORE.iterdir())) == 1
    with reading(locate()) as reader:
        best = find_checkpoint(reader, runs[3].id, alias="best")
    restore(best, Path("restored.pt"))
    assert Path("restored.pt").read_text() == f"{runs[3].id} 0.2"
    assert restore(best, Path(".tracker")).path.name == "best.pt"
    assert Path("best.pt").read_text() == f"{runs[9].id} 0.6"
    assert [one.state for one in verify(locate())] == ["available", "available"]


def test_a_replaced_file_takes_no_room_of_its_own_until_it_is_replaced(folder: Path) -> None:
    first = train([1.0])
    before = Path("best.pt").stat().st_ino
    train([2.0])
    (stored,) = STORE.iterdir()
    assert stored.stat().st_ino == before
    with reading(locate()) as reader:
        assert find_checkpoint(reader, first.id)["sha256"] == stored.name[:64]


def test_a_worse_one_a_nan_and_one_without_a_value_are_not_kept() -> None:
    train([0.1])
    train([0.2])
    train([float("nan")])
    with tracker.start_run("digits") as run:
        run.save_checkpoint("best.pt", lambda to: to.write_text("unjudged"))
    train([0.3])
    train([0.4])
    assert kept() == [0.1]


def test_another_experiment_has_a_best_of_its_own_and_so_has_another_monitor() -> None:
    train([0.1])
    with tracker.start_run("letters") as run:
        run.save_checkpoint("best.pt", lambda to: to.write_text("l 9.0"), monitor="loss", value=9.0)
        run.save_checkpoint("best.pt", lambda to: to.write_text("l 0.5"), monitor="acc", value=0.5)
    train([0.2])
    assert sorted(kept()) == [0.1, 0.5]


def test_higher_is_better_where_somebody_says_so() -> None:
    for value in (0.5, 0.9, 0.1, 0.2):
        with tracker.start_run("score", monitor="score", mode="max") as run:
            run.save_checkpoint(
                "best.pt", lambda to: to.write_text(f"x {value}"), monitor="score", value=value  # noqa: B023
            )  # fmt: skip
    assert kept() == [0.9]


def test_pinned_ones_stay_also_where_nothing_is_kept() -> None:
    first = train([3.0], keep="none")
    pin(locate(), [tracker.checkpoints(first)["id"][0]])
    train([2.0], keep="none")
    train([1.0], keep="none")
    train([0.5], keep="none")
    assert kept() == [3.0]


def test_a_pinned_file_of_the_same_run_is_kept_when_the_run_replaces_it() -> None:
    with tracker.start_run("digits") as run:
        run.save_checkpoint("best.pt", lambda to: to.write_text("a 2.0"), monitor="loss", value=2.0)
        pin(locate(), [run.checkpoints()[0].id])
        run.save_checkpoint("best.pt", lambda to: to.write_text("a 1.0"), monitor="loss", value=1.0)
        run.save_checkpoint("best.pt", lambda to: to.write_text("a 0.5"), monitor="loss", value=0.5)
    assert kept() == [2.0]


def test_each_runs_best_is_kept_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    train([3.0], keep="run")
    monkeypatch.setenv("TRACKER_KEEP", "run")
    for value in (2.0, 4.0):
        train([value])
    monkeypatch.setenv("TRACKER_KEEP", "best")
    train([5.0])
    assert kept() == [3.0, 2.0]
    train([6.0])
    assert kept() == [3.0, 2.0]


def test_a_size_limit_takes_the_oldest_first_and_never_a_pinned_one() -> None:
    train([1.0], keep="run")
    first = train([2.0], keep="run")
    pin(locate(), [tracker.checkpoints(first)["id"][0]])
    for value in (3.0, 4.0):
        train([value], keep="run")
    size = Path("best.pt").stat().st_size
    plan = store.plan(locate(), None, 2 * size)
    assert [one.value for one in plan.going] == [3.0]
    train([5.0], keep="run", keep_bytes=2 * size)
    assert kept() == [1.0, 2.0]


def test_a_file_that_the_user_has_changed_is_not_kept_as_what_it_was() -> None:
    train([0.1])
    Path("best.pt").write_text("mine")
    train([0.2])
    assert kept() == []
    assert list(STORE.iterdir()) == []


def test_a_file_that_no_run_has_saved_is_replaced_like_any_other() -> None:
    Path("best.pt").write_text("mine")
    train([0.2])
    assert not STORE.exists()


def test_gc_says_what_stays_and_why_and_takes_what_no_checkpoint_names() -> None:
    train([0.1])
    train([0.2])
    orphan = leave("left by a kill")
    (STORE / "notes.txt").write_text("the user's")
    plan = store.plan(locate())
    assert [(one.value, why) for one, why in plan.kept] == [
        (0.1, "it is the best of its experiment by val_loss")
    ]
    assert (plan.going, plan.unreferenced) == ([], [orphan])
    assert store.clean(locate(), plan).bytes_going == len("left by a kill")
    assert not orphan.exists()
    assert (STORE / "notes.txt").exists()
    assert store.clean(locate(), store.plan(locate(), "none")).bytes_going > 0
    assert [path.name for path in STORE.iterdir()] == ["notes.txt"]
    assert tracker.checkpoints()["state"].tolist() == ["overwritten", "available"]
    assert tracker.checkpoints()["path"].tolist() == ["best.pt", "best.pt"]


def test_a_file_of_somebody_else_in_the_place_of_one_in_the_store_stays(cli: Any) -> None:
    train([0.1])
    train([0.2])
    (stored,) = STORE.iterdir()
    theirs = "x" * stored.stat().st_size
    stored.unlink()
    stored.write_text(theirs)
    train([0.05])
    train([0.3])
    told = cli("checkpoints", "gc", "--keep", "none").stdout
    assert f"Kept {stored.absolute()}: its file is modified." in told
    assert stored.read_text() == theirs


def test_a_file_whose_name_is_one_of_ours_and_whose_bytes_are_not_stays(cli: Any) -> None:
    train([0.1])
    theirs = leave("left by a kill")
    theirs.write_text("the user's, who has put it there")
    told = cli("checkpoints", "gc").stdout
    assert "0 files, 0 B deleted." in told
    assert (
        f"Kept {theirs}: its name and its bytes do not fit: it is not a file of the store." in told
    )
    assert theirs.exists()


def test_a_file_that_is_being_named_is_not_taken_for_a_leftover() -> None:
    train([0.1])
    with tracker.start_run("digits"):
        fresh = leave("about to get its row")
        assert store.plan(locate()).unreferenced == []
    assert store.plan(locate()).unreferenced == [fresh]


def test_where_no_link_can_be_made_a_copy_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no links between file systems")

    train([0.1])
    monkeypatch.setattr(os, "link", refuse)
    train([0.2])
    assert kept() == [0.1]


def test_deleting_a_run_takes_its_files_in_the_store() -> None:
    from tracker.maintenance.edits import delete

    first = train([0.1])
    train([0.2])
    delete(locate(), [first.id])
    assert list(STORE.iterdir()) == []
    assert Path("best.pt").exists()


def test_two_databases_in_one_folder_have_a_store_each() -> None:
    for database in ("a.db", "b.db"):
        for value in (0.1, 0.2):
            train([value], path=f"{database}.pt", database=database)
    for database in ("a.db", "b.db"):
        store.clean(locate(database), store.plan(locate(database)))
        assert len(list(Path(f"{database}-checkpoints").iterdir())) == 1


def test_a_listing_says_where_the_bytes_are_and_under_which_name_they_were_saved() -> None:
    train([0.1])
    train([0.2])
    frame = tracker.checkpoints()
    assert frame["path"].tolist() == ["best.pt", "best.pt"]
    assert frame["file"][0].startswith(str(STORE.absolute()))
    with reading(locate()) as reader:
        from tracker.queries import api as queries

        listed = queries.checkpoints(reader, where="kept = 'best' and path = 'best.pt'")
    assert [row["value"] for row in listed.dicts()] == [0.1]


def test_a_rule_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadValue, match="possible are 'best'"):
        tracker.start_run(keep="all")


def test_a_file_that_was_cleared_out_of_the_store_before_it_was_replaced_keeps_its_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other runs save a better one between the second name in the store and the rename, which then fails."""
    first = train([0.5])
    rename = Path.replace

    def meanwhile(self: Path, target: Path) -> Path:
        if target != Path("best.pt").absolute():
            return rename(self, target)
        monkeypatch.setattr(Path, "replace", rename)
        train([0.1], "other.pt")
        train([0.4], "other.pt")
        raise OSError("killed here")

    with tracker.start_run("digits") as run:
        monkeypatch.setattr(Path, "replace", meanwhile)
        with pytest.raises(OSError, match="killed here"):
            run.save_checkpoint(
                "best.pt", lambda to: to.write_text("x"), monitor="val_loss", value=0.6
            )
    (row,) = tracker.checkpoints(first.id).itertuples()
    assert (row.state, row.path) == ("available", "best.pt")
    assert Path("best.pt").read_text() == f"{first.id} 0.5"
