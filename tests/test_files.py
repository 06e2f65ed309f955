"""A save leaves the old file or the new one, whole, and nothing else."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT
from tracker.errors import CheckpointError, NotWritable
from tracker.files import inspect_file, prepared, save_file, save_link
from tracker.leftovers import leftovers
from tracker.removal import sweep


def write(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_size_and_hash_are_those_of_the_file(folder: Path) -> None:
    data = os.urandom(3_000_000)
    saved = save_file("sub/model.keras", write(data))
    assert saved.path == folder / "sub/model.keras"
    assert saved.path.read_bytes() == data
    assert (saved.bytes, saved.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert inspect_file(saved.path) == saved
    assert names(folder / "sub") == ["model.keras"]


def test_no_object_of_a_thread_ends_in_the_callers_thread(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python code that runs at its end ignores what is raised there: Ctrl-C would be lost."""
    monkeypatch.setattr(threading.Thread, "__init__", None)
    assert save_file("model.keras", write(b"weights")).bytes == 7


@pytest.mark.parametrize(
    "name", ["m.weights.h5", "m.keras", "é" * 127, "x" * 251 + ".pt", "模" * 84 + ".h5"]
)
def test_the_temporary_name_ends_as_the_files_does(folder: Path, name: str) -> None:
    seen: list[Path] = []

    def save(path: Path) -> None:
        seen.append(path)
        path.write_bytes(b"1")

    save_file(folder / name, save)
    assert seen[0].parent == folder
    assert seen[0].name.endswith(name[-8:])
    assert names(folder) == [name]


@pytest.mark.parametrize("error", [ValueError("disk"), KeyboardInterrupt(), OSError(28, "full")])
def test_a_save_that_raises_leaves_what_was_there(folder: Path, error: BaseException) -> None:
    (folder / "m.pt").write_bytes(b"old")

    def save(path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)) as raised:
        save_file("m.pt", save)
    assert raised.value is error
    assert (folder / "m.pt").read_bytes() == b"old"
    assert names(folder) == ["m.pt"]


def test_a_save_that_writes_nothing_or_a_folder_is_told(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="wrote no file"):
        save_file("m.pt", lambda path: None)
    with pytest.raises(CheckpointError, match="one file"):
        save_file("m.pt", lambda path: (path / "sub").mkdir(parents=True))
    assert names(folder) == []


def test_the_file_has_its_name_only_once_it_is_complete(folder: Path) -> None:
    (folder / "m.pt").write_bytes(b"old")
    with prepared("m.pt", write(b"new")) as ready:
        assert (folder / "m.pt").read_bytes() == b"old"
        ready.publish()
        assert (folder / "m.pt").read_bytes() == b"new"


def test_a_folder_that_cannot_be_made_is_told(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(NotWritable, match="cannot be made"):
        save_file("file/m.pt", write(b"1"))


def test_a_link_is_replaced_and_what_it_leads_to_stays(folder: Path) -> None:
    (folder / "precious").write_bytes(b"precious")
    (folder / "m.pt").symlink_to("precious")
    save_file("m.pt", write(b"new"))
    assert (folder / "precious").read_bytes() == b"precious"
    assert not (folder / "m.pt").is_symlink()


def test_only_a_regular_file_can_be_inspected(folder: Path) -> None:
    (folder / "link").symlink_to(__file__)
    os.mkfifo(folder / "pipe")
    for path in ("missing", "link", ".", "pipe"):
        assert inspect_file(path) is None


def test_a_link_replaces_an_older_one_and_leaves_nothing_else(folder: Path) -> None:
    for name in ("1.pt", "2.pt"):
        (folder / name).write_text(name)
        save_link(folder / "last.pt", folder / name)
        assert str((folder / "last.pt").readlink()) == name
    assert names(folder) == ["1.pt", "2.pt", "last.pt"]


def test_what_a_kill_left_of_a_link_is_swept(folder: Path, script: Any) -> None:
    """The kill comes just before the link takes its name, which the audit hook sees."""
    code = """
import os, sys
from pathlib import Path
from tracker.files import save_link
sys.addaudithook(lambda event, _: os._exit(9) if event == "os.rename" else None)
save_link(Path("last.pt"), Path("1.pt"))
"""
    assert script(code).wait() == 9
    assert len(names(folder)) == 1
    sweep(folder)
    assert names(folder) == []


def test_temporary_files_of_dead_processes_are_swept_and_of_living_ones_not(folder: Path) -> None:
    code = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tracker.files import prepared
with prepared("m.pt", lambda path: path.write_bytes(b"half")):
    os._exit(9)
"""
    root = ROOT
    subprocess.run([sys.executable, "-c", code, str(root)], check=False, cwd=folder)
    left = names(folder)
    assert len(left) == 1
    (folder / "m.pt").write_bytes(b"mine")
    (folder / ".tracker-notes").write_bytes(b"the user's")
    with prepared("other.pt", write(b"half")) as living:
        assert [path.name for path in sweep(folder)] == left
        assert living.temporary.exists()
        living.publish()
    assert names(folder) == [".tracker-notes", "m.pt", "other.pt"]
    assert sweep(folder / "missing") == []


def test_a_temporary_file_of_another_host_is_told_apart_and_not_swept(folder: Path) -> None:
    """Its process number says nothing here."""
    path = folder / ".tracker-0badcafe-4194000-01234567-m.pt"
    path.write_bytes(b"half")
    assert leftovers(folder) == ([], [path])
    assert sweep(folder) == []
    assert path.exists()
