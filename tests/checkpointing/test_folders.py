"""A folder is a checkpoint like a file: registered, verified, restored, pruned; never deleted once changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.errors import CheckpointError

STATES = "SELECT path, bytes, state, pending FROM checkpoint ORDER BY created"


@pytest.fixture
def run(folder: Path) -> tracker.Run:
    return tracker.start_run("llm")


def saved(run: tracker.Run, epoch: int, **facts: Any) -> tracker.Checkpoint:
    path = Path(f"out/checkpoint-{epoch}")
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(f"weights {epoch}".encode())
    (path / "config.json").write_text("{}")
    return run.log_checkpoint(path, epoch=epoch, **facts)


def test_a_folder_is_registered_with_the_size_of_its_files(run: tracker.Run, sql: Any) -> None:
    made = saved(run, 0)
    assert made.path == Path.cwd() / "out/checkpoint-0"
    assert run.checkpoints() == [made]
    assert sql(STATES) == [("out/checkpoint-0", 11, "available", 0)]
    Path("nothing").mkdir()
    with pytest.raises(CheckpointError, match="neither a regular file nor a folder"):
        run.log_checkpoint("nothing")


def test_a_folder_is_pruned_whole_and_the_last_and_the_best_stay(
    run: tracker.Run, sql: Any
) -> None:
    facts: dict[str, Any] = {"monitor": "val_loss"}
    made = [saved(run, epoch, value=value, **facts) for epoch, value in enumerate([2.0, 1.0, 3.0])]
    pruned = run.prune_checkpoints(made)
    assert [one.epoch for one in pruned] == [0]
    assert sorted(path.name for path in Path("out").iterdir()) == ["checkpoint-1", "checkpoint-2"]
    assert [row[2] for row in sql(STATES)] == ["pruned", "available", "available"]


def test_a_folder_that_somebody_has_added_to_is_not_deleted(run: tracker.Run) -> None:
    first = saved(run, 0)
    saved(run, 1)
    (first.path / "notes.txt").write_text("the good one")
    assert run.prune_checkpoints([first]) == []
    assert (first.path / "notes.txt").exists()


def test_a_kill_between_the_decision_and_the_deletion_is_made_up_for(
    folder: Path, script: Any, sql: Any
) -> None:
    process = script(
        "import os, pathlib, tracker, tracker.checkpointing.registry as registry\n"
        "run = tracker.start_run('llm')\n"
        "made = []\n"
        "for epoch in range(2):\n"
        "    path = pathlib.Path(f'out/{epoch}'); path.mkdir(parents=True)\n"
        "    (path / 'a').write_text(str(epoch)); made.append(run.log_checkpoint(path, epoch=epoch))\n"
        "registry.remove = lambda *file: os._exit(9)\n"
        "run.prune_checkpoints(made)\n"
    )
    assert process.wait(60) == 9
    assert (folder / "out/0").is_dir()
    assert sql("SELECT state, pending FROM checkpoint ORDER BY created")[0] == ("pruned", 1)
    tracker.start_run("next").finish()
    assert not (folder / "out/0").exists()
    assert sql("SELECT state, pending FROM checkpoint ORDER BY created") == [
        ("pruned", 0),
        ("available", 0),
    ]


def test_verify_restore_and_prune_from_the_command_line(run: tracker.Run, cli: Any) -> None:
    made = [saved(run, epoch) for epoch in range(3)]
    run.finish()
    assert cli("checkpoints", "verify").exit_code == 0
    assert cli("checkpoints", "restore", run.name, "--alias", "last", "-o", "back").exit_code == 0
    assert (Path("back") / "model.safetensors").read_bytes() == b"weights 2"
    (made[0].path / "config.json").write_text("{ }")
    told = cli("checkpoints", "verify")
    assert told.exit_code == 1
    assert "modified" in told.output
    refused = cli("checkpoints", "restore", run.name, "--epoch", "0", "-o", "other")
    assert refused.exit_code == 1
    assert not Path("other").exists()
    assert cli("checkpoints", "prune", run.name, "--keep", "0", "--yes").exit_code == 0
    assert not made[1].path.exists()
    assert made[0].path.exists(), "it is not what was registered"
