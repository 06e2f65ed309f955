"""Files that are verified, pruned and restored while the run, or somebody else, changes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.errors import CheckpointError
from tracker.maintenance.checkpoints import plan_pruning, prune, restore, verify
from tracker.queries.checkpoints import find_checkpoint
from tracker.storage.database import reading
from tracker.storage.location import locate

STATES = "SELECT path, state, pending FROM checkpoint ORDER BY created"


def save(run: tracker.Run, name: str, text: str, **facts: Any) -> tracker.Checkpoint:
    return run.save_checkpoint(f"ckpt/{name}", lambda path: path.write_text(text), **facts)


def test_a_file_that_is_replaced_while_it_is_verified_was_not_modified_by_anybody(
    sql: Callable[..., Any],
) -> None:
    """Between the reading of the file and that of the row, the run has saved the next one in its place."""
    with tracker.start_run() as run:
        old = save(run, "best", "1")
        old.path.write_text("2")  # as the run does when it gives the next one its name
        verified = verify(locate(), step=lambda size: save(run, "best", "2"))
    assert verified == []
    assert sql(STATES) == [("ckpt/best", "pruned", 0), ("ckpt/best", "available", 0)]


def test_a_file_that_is_about_to_be_named_is_left_to_its_run(sql: Callable[..., Any]) -> None:
    with tracker.start_run() as run:
        save(run, "best", "1")

        def named(temporary: Path) -> Path:
            temporary.write_text("2")
            return temporary

        replace = Path.replace

        def publish(self: Path, target: Any) -> Path:
            verify(locate())
            assert sql(STATES)[-1] == ("ckpt/best", "missing", 1)
            return replace(self, target)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Path, "replace", publish)
            run.save_checkpoint("ckpt/best", named)
    assert sql(STATES)[-1] == ("ckpt/best", "available", 0)


def test_of_two_that_prune_at_once_the_second_finds_nothing_missing(
    sql: Callable[..., Any],
) -> None:
    with tracker.start_run() as run:
        for epoch in range(3):
            save(run, str(epoch), str(epoch), epoch=epoch)
        plans = [plan_pruning(locate(), run.id) for _ in range(2)]
        for plan in plans:
            prune(locate(), plan)
    assert [state for _, state, _ in sql(STATES)] == ["pruned", "pruned", "available"]


def test_a_pipe_in_the_place_of_a_file_is_not_what_was_saved(folder: Path) -> None:
    with tracker.start_run() as run:
        made = save(run, "best", "1", epoch=0)
    made.path.unlink()
    os.mkfifo(made.path)
    with reading() as reader:
        row = find_checkpoint(reader, run.id, epoch=0)
    with pytest.raises(CheckpointError, match="is not the one that was saved"):
        restore(row, folder / "restored")
