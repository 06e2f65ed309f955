"""A folder is hashed as a manifest, copied whole or not at all, and leaves in one move."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tracker.errors import CheckpointError
from tracker.files import inspect_file
from tracker.folders import copy_folder, inspect_path


@pytest.fixture
def shards(folder: Path) -> Path:
    """Return a checkpoint of two shards and an index."""
    made = folder / "checkpoint-10"
    (made / "shards").mkdir(parents=True)
    (made / "index.json").write_text("{}")
    (made / "shards" / "1.bin").write_bytes(b"one")
    (made / "shards" / "ü 2.bin").write_bytes(b"two")
    return made


def test_a_file_is_inspected_as_a_file(folder: Path) -> None:
    (folder / "a.pt").write_bytes(b"weights")
    assert inspect_path("a.pt") == inspect_file("a.pt")


def test_the_hash_is_what_sha256sum_prints(shards: Path) -> None:
    saved = inspect_path(shards)
    assert saved is not None
    command = r"find * -type f | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum"
    printed = subprocess.run(
        command, shell=True, cwd=shards, capture_output=True, text=True, check=True
    )
    assert saved.sha256 == printed.stdout.split()[0]
    assert saved.bytes == 8
    assert saved.path == shards


@pytest.mark.parametrize("change", ["edited", "renamed", "added", "gone", "a link now", "swapped"])
def test_each_change_within_is_seen(shards: Path, change: str) -> None:
    before, one, two = inspect_path(shards), shards / "shards/1.bin", shards / "shards/ü 2.bin"
    if change == "edited":
        one.write_bytes(b"onE")
    elif change == "renamed":
        one.rename(shards / "shards/3.bin")
    elif change == "added":
        (shards / "late").write_bytes(b"")
    elif change == "gone":
        one.unlink()
    elif change == "a link now":
        one.rename(shards.parent / "1.bin")
        one.symlink_to(shards.parent / "1.bin")
    else:
        one.write_bytes(b"two")
        two.write_bytes(b"one")
    assert inspect_path(shards) != before


def test_what_is_no_checkpoint_is_none(folder: Path, shards: Path) -> None:
    (folder / "empty" / "within").mkdir(parents=True)
    assert inspect_path("empty") is None
    assert inspect_path("nowhere") is None
    (folder / "link").symlink_to(shards)
    assert inspect_path("link") is None
    os.mkfifo(shards / "pipe")
    assert inspect_path(shards) is None


def test_a_copy_is_the_folder_and_replaces_what_is_there(folder: Path, shards: Path) -> None:
    recorded = inspect_path(shards)
    (shards / "latest").symlink_to("shards")
    linked = inspect_path(shards)
    assert linked != recorded
    (folder / "copy").mkdir()
    (folder / "copy" / "old").write_text("")
    copied = copy_folder(shards, folder / "copy", linked)
    assert inspect_path("copy") == copied
    assert not (folder / "copy" / "old").exists()
    assert (folder / "copy" / "latest").is_symlink()


def test_a_copy_of_something_else_is_refused_and_leaves_nothing(folder: Path, shards: Path) -> None:
    recorded = inspect_path(shards)
    (shards / "index.json").write_text("{ }")
    (folder / "copy").mkdir()
    with pytest.raises(CheckpointError, match="not the one that was saved"):
        copy_folder(shards, folder / "copy", recorded)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-10", "copy"]
