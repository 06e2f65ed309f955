"""A row that is available names a complete file with that hash; nothing is deleted that should not be."""

from __future__ import annotations

import hashlib
import math
import sys
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tracker
import tracker.checkpointing.registry
from tracker.checkpointing.registry import Checkpoint, check
from tracker.checkpointing.retention import protected
from tracker.clock import RisingClock
from tracker.errors import BadValue, CheckpointError

STATES = "SELECT path, state, pending FROM checkpoint ORDER BY created"


def write(data: object) -> Any:
    return lambda path: path.write_bytes(str(data).encode())


@pytest.fixture
def run(folder: Path) -> tracker.Run:
    return tracker.start_run("digits")


def save(run: tracker.Run, name: str, **facts: Any) -> Checkpoint:
    return run.save_checkpoint(f"ckpt/{name}", write(f"{name} {facts.get('epoch')}"), **facts)


def test_a_saved_file_is_registered_with_what_is_said_of_it(run: tracker.Run, sql: Any) -> None:
    made = run.save_checkpoint(
        "ckpt/1.pt", write("weights"), epoch=np.int64(3), step=7, metrics={"loss": np.float32(0.5)},
        monitor="loss",
    )  # fmt: skip
    assert made.value == 0.5
    assert made.path == Path.cwd() / "ckpt/1.pt"
    assert run.checkpoints() == [made]
    columns = "path, bytes, sha256, epoch, step, monitor, value, state, pending, pinned"
    digest = hashlib.sha256(b"weights").hexdigest()
    assert sql(f"SELECT {columns} FROM checkpoint") == [
        ("ckpt/1.pt", 7, digest, 3, 7, "loss", 0.5, "available", 0, 0)
    ]


def test_a_file_that_is_there_can_be_registered(run: tracker.Run, folder: Path) -> None:
    (folder / "mine.pt").write_bytes(b"mine")
    made = run.log_checkpoint("mine.pt", epoch=1, monitor="val\0loss", value=math.nan)
    assert (made.bytes, made.monitor) == (4, "val\\x00loss")
    with pytest.raises(CheckpointError, match=r"gone\.pt"):
        run.log_checkpoint("gone.pt")


@pytest.mark.parametrize(
    "facts", [{"epoch": "x"}, {"step": 1.5}, {"epoch": 2**40}, {"metrics": {"a": "b"}}]
)
def test_facts_that_cannot_be_kept_are_refused_and_the_file_not_replaced(
    run: tracker.Run, facts: dict[str, Any]
) -> None:
    save(run, "a", epoch=0)
    with pytest.raises(BadValue):
        run.save_checkpoint("ckpt/a", write("new"), **facts)
    assert Path("ckpt/a").read_text() == "a 0"
    assert [one.epoch for one in run.checkpoints()] == [0]


def test_saving_over_a_checkpoint_replaces_it(run: tracker.Run, sql: Any) -> None:
    for epoch in range(3):
        save(run, "best", epoch=epoch)
    assert [one.epoch for one in run.checkpoints()] == [2]
    assert sql(STATES) == [("ckpt/best", "pruned", 0)] * 2 + [("ckpt/best", "available", 0)]
    assert [check(one) for one in run.checkpoints()] == ["available"]


def test_a_save_that_raises_leaves_the_old_checkpoint_available(run: tracker.Run) -> None:
    save(run, "best", epoch=0)
    with pytest.raises(ZeroDivisionError):
        run.save_checkpoint("ckpt/best", lambda path: 1 / 0, epoch=1)
    assert [(one.epoch, check(one)) for one in run.checkpoints()] == [(0, "available")]


def test_a_rename_that_fails_leaves_true_rows(run: tracker.Run, sql: Any) -> None:
    """Here a folder is in the way; with the file's own name nothing had been there before."""
    save(run, "a", epoch=0)
    Path("ckpt/b/full").mkdir(parents=True)
    with pytest.raises(OSError):
        save(run, "b", epoch=1)
    assert [one.epoch for one in run.checkpoints()] == [0]
    assert sql(STATES) == [("ckpt/a", "available", 0), ("ckpt/b", "missing", 0)]
    assert sorted(path.name for path in Path("ckpt").iterdir()) == ["a", "b"]


@pytest.mark.parametrize(("entry", "epoch"), [(1, 0), (2, 1)])
def test_ctrl_c_while_a_save_is_recorded_leaves_the_file_that_is_there_available(
    run: tracker.Run, sql: Any, entry: int, epoch: int
) -> None:
    """It comes with the row before the rename, and with the one after it."""
    save(run, "best", epoch=0)
    recorded = count(1)

    def interrupt(frame: Any, event: str, _: object) -> None:
        is_recorded = (event, frame.f_code.co_qualname) == ("return", "Recorder.record")
        if is_recorded and next(recorded) == entry:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sys.setprofile(interrupt)
        save(run, "best", epoch=1)
    sys.setprofile(None)
    assert [(one.epoch, check(one)) for one in run.checkpoints()] == [(epoch, "available")]
    assert sql("SELECT count(*) FROM checkpoint WHERE pending") == [(0,)]
    assert [path.name for path in Path("ckpt").iterdir()] == ["best"]


def test_the_row_is_written_before_the_name(run: tracker.Run, monkeypatch: Any, sql: Any) -> None:
    """At the moment of the rename no row is available for the path, and both are pending."""
    save(run, "best", epoch=0)
    rename, seen = Path.replace, []

    def replace_and_look(self: Path, target: Any) -> Any:
        seen.append(sql(STATES))
        done = rename(self, target)
        seen.append(sql(STATES))
        return done

    monkeypatch.setattr(Path, "replace", replace_and_look)
    save(run, "best", epoch=1)
    assert seen == [[("ckpt/best", "pruned", 1), ("ckpt/best", "missing", 1)]] * 2


def test_a_file_whose_last_word_waits_is_available(
    run: tracker.Run, monkeypatch: Any, locked: Any
) -> None:
    """The database has its row, as one to come: the file took its name, and that came too late."""
    first, rename = save(run, "1", epoch=1, value=1.0, monitor="loss"), Path.replace
    with ExitStack() as held:

        def rename_and_lock(source: Path, target: Path) -> Path:
            done = rename(source, target)
            held.enter_context(locked())
            return done

        monkeypatch.setattr(Path, "replace", rename_and_lock)
        second = save(run, "2", epoch=2, value=0.5, monitor="loss")
        monkeypatch.undo()
        assert run.checkpoints() == [first, second]
        assert run.prune_checkpoints([first]) == [replace(first, state="pruned")]
        assert not first.path.exists()


def test_pruning_deletes_what_was_asked_and_may_go(run: tracker.Run, sql: Any) -> None:
    made = [save(run, str(epoch), epoch=epoch) for epoch in range(4)]
    gone = run.prune_checkpoints(made[:2], why="keep 2")
    assert [(one.id, one.state) for one in gone] == [(one.id, "pruned") for one in made[:2]]
    assert run.checkpoints() == made[2:]
    assert sorted(path.name for path in Path("ckpt").iterdir()) == ["2", "3"]
    assert [row[1:] for row in sql(STATES)] == [("pruned", 0)] * 2 + [("available", 0)] * 2


def test_best_last_and_pinned_are_never_deleted(run: tracker.Run, sql: Any) -> None:
    losses = [3.0, 1.0, math.nan, 1.0, 2.0, 5.0]
    made = [
        save(run, str(epoch), epoch=epoch, monitor="val_loss", value=loss)
        for epoch, loss in enumerate(losses)
    ]
    with run.writer._database.transaction() as connection:  # type: ignore[union-attr]
        connection.exec_driver_sql(f"UPDATE checkpoint SET pinned = 1 WHERE id = '{made[0].id}'")
    run.prune_checkpoints(made)
    assert [one.epoch for one in run.checkpoints()] == [0, 1, 5]


def test_best_is_the_highest_where_the_policy_says_so(run: tracker.Run) -> None:
    policy = run.add_policy("ModelCheckpoint", monitor="score", config={"mode": "max"})
    made = [
        save(run, str(n), epoch=n, value=value, policy=policy) for n, value in enumerate([1, 3, 2])
    ]
    run.prune_checkpoints(made)
    assert [one.epoch for one in run.checkpoints()] == [1, 2]


@pytest.mark.parametrize("change", ["edited", "replaced by a link", "a folder now"])
def test_a_file_that_is_not_the_one_saved_is_left_alone(
    run: tracker.Run, folder: Path, change: str
) -> None:
    first, second = save(run, "1", epoch=1), save(run, "2", epoch=2)
    (folder / "victim").write_bytes(b"1 1")
    if change == "edited":
        first.path.write_bytes(b"the user's")
    else:
        first.path.unlink()
        first.path.mkdir() if "folder" in change else first.path.symlink_to(folder / "victim")
    assert check(first) == "modified"
    assert run.prune_checkpoints([first]) == []
    assert first.path.exists()
    assert (folder / "victim").exists()
    assert run.prune_checkpoints([second]) == []


def test_a_path_that_the_caller_made_up_is_not_deleted(run: tracker.Run, folder: Path) -> None:
    first, _ = save(run, "1", epoch=1), save(run, "2", epoch=2)
    (folder / "victim").write_bytes(b"1 1")
    run.prune_checkpoints([replace(first, path=folder / "victim")])
    run.prune_checkpoints([replace(first, id="unknown", path=folder / "victim")])
    assert (folder / "victim").exists()


def test_a_file_that_cannot_be_deleted_stays_available(folder: Path, script: Any, sql: Any) -> None:
    code = """
import tracker
from pathlib import Path
run = tracker.start_run()
made = [run.save_checkpoint(f"ckpt/{n}", lambda path: path.write_text("x"), epoch=n) for n in range(2)]
Path("ckpt").chmod(0o500)
print(run.prune_checkpoints(made[:1]), [one.epoch for one in run.checkpoints()])
Path("ckpt").chmod(0o700)
"""
    said, errors = script(code, unprivileged=True).communicate()
    assert (said.strip(), errors) == ("[] [0, 1]", "")
    assert {row[1:] for row in sql(STATES)} == {("available", 0)}


def test_what_a_kill_kept_from_going_and_nobody_can_delete_is_available_again(
    folder: Path, script: Any, sql: Any
) -> None:
    code = """
import os, sys, tracker
from pathlib import Path
if not Path("ckpt").exists():
    run = tracker.start_run()
    made = [run.save_checkpoint(f"ckpt/{n}", lambda path: path.write_text("x"), epoch=n) for n in range(2)]
    sys.addaudithook(lambda event, _: os._exit(9) if event == "os.rename" else None)
    run.prune_checkpoints(made[:1])
Path("ckpt").chmod(0o500)
tracker.start_run().finish()
Path("ckpt").chmod(0o700)
"""
    assert script(code).wait() == 9
    assert sql(STATES)[0] == ("ckpt/0", "pruned", 1)
    assert script(code, unprivileged=True).communicate() == ("", "")
    assert sql(STATES)[0] == ("ckpt/0", "available", 0)


def test_a_clock_set_back_does_not_change_which_one_is_last(
    run: tracker.Run, monkeypatch: Any
) -> None:
    first = save(run, "1", epoch=1)
    monkeypatch.setattr(tracker.clock, "now", lambda: 0)
    second = save(run, "2", epoch=2)
    assert run.checkpoints() == [first, second]
    assert run.prune_checkpoints([second]) == []


def test_after_a_resume_with_the_clock_set_back_listing_and_pruning_agree_on_the_last(
    run: tracker.Run, monkeypatch: Any
) -> None:
    made = [save(run, str(epoch), epoch=epoch) for epoch in range(2)]
    run.finish()
    monkeypatch.setattr(tracker.clock, "now", lambda: 0)
    # As in the process that resumes.
    monkeypatch.setattr(tracker.checkpointing.registry, "_clock", RisingClock())
    with tracker.start_run("digits", resume=run.id) as resumed:
        newest = save(resumed, "2", epoch=2)
        listed = tracker.checkpoints(resumed)
        assert list(listed["epoch"]) == [0, 1, 2]
        assert list(listed["alias"])[-1] == "last"
        assert resumed.prune_checkpoints([*made, newest]) != []
        assert [one.id for one in resumed.checkpoints()] == [newest.id]


def test_one_metric_has_one_best_whatever_its_policies_call_the_mode(run: tracker.Run) -> None:
    """What the listing does not call the best, pruning may delete."""
    modes = ("min", "auto", None)
    made = [
        save(
            run, f"{mode}", epoch=epoch, value=3.0 - epoch, monitor="val_loss",
            policy=run.add_policy("ModelCheckpoint", monitor="val_loss", config={"mode": mode}),
        )
        for epoch, mode in enumerate(modes)
    ]  # fmt: skip
    assert list(tracker.checkpoints(run)["alias"].dropna()) == ["best, last"]
    run.prune_checkpoints(made)
    assert [one.epoch for one in run.checkpoints()] == [2]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.floats() | st.none(), st.booleans()), max_size=8))
def test_what_is_protected(drawn: list[tuple[float | None, bool]]) -> None:
    """Against an oracle of three lines: pinned ones, the last, the first of the lowest."""
    made = [
        Checkpoint(str(n), Path(str(n)), 0, "", monitor="val_loss", value=value, pinned=pinned)
        for n, (value, pinned) in enumerate(drawn)
    ]
    expected = {one.id for one in made if one.pinned} | {one.id for one in made[-1:]}
    numbers = [one.value for one in made if one.value is not None and not math.isnan(one.value)]
    expected |= {next(one.id for one in made if one.value == min(numbers))} if numbers else set()
    assert protected(made).keys() == expected
