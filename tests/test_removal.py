"""Only the file or folder that was read is deleted, whatever takes its name at whatever moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tracker.files import SavedFile
from tracker.folders import inspect_path
from tracker.leftovers import leftovers
from tracker.removal import remove, sweep

KINDS = pytest.mark.parametrize("kind", ["file", "folder"])
DYING = """
import os, sys
from pathlib import Path
from tracker.folders import inspect_path
from tracker.removal import remove
at, swap = sys.argv[1:]
def hook(event, given):
    if event == "os.rename" and swap == "swapped" and "~" in str(given[1]):
        os.rename("model.pt", "old")
        os.rename("other.pt", "model.pt")
    if event == at and "~" in str(given[0]):
        os._exit(9)
read = inspect_path("model.pt")
sys.addaudithook(hook)
remove(read.path, read.identity)
"""


def make(name: str, kind: str, text: str) -> Path:
    path = Path(name)
    if kind == "folder":
        path.mkdir()
        (path / "shard").mkdir()
        (path / "shard" / "weights").write_text(text)
    else:
        path.write_text(text)
    return path


def content(path: Path) -> str:
    return (path / "shard" / "weights" if path.is_dir() else path).read_text()


def read(path: Path) -> SavedFile:
    file = inspect_path(path)
    assert file is not None
    return file


def delete(file: SavedFile) -> None:
    remove(file.path, file.identity)


def names() -> list[str]:
    return sorted(path.name for path in Path.cwd().iterdir())


def at_the_last_moment(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Let somebody change something just before the name is moved aside."""
    rename = os.rename

    def late(*given: Any, **more: Any) -> None:
        monkeypatch.setattr(os, "rename", rename)
        change()
        rename(*given, **more)

    monkeypatch.setattr(os, "rename", late)


@KINDS
@pytest.mark.parametrize("name", ["model.pt", "m" * 250])
def test_what_was_read_goes_and_leaves_nothing(folder: Path, kind: str, name: str) -> None:
    delete(read(make(name, kind, "weights")))
    assert names() == []


@KINDS
def test_what_is_gone_is_said_to_be(folder: Path, kind: str) -> None:
    file = read(make("model.pt", kind, "weights"))
    delete(file)
    with pytest.raises(FileNotFoundError):
        delete(file)


@pytest.mark.parametrize("done", [False, True])
def test_ctrl_c_while_it_is_deleted_is_raised(
    folder: Path, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """No error of putting it back takes its place, which those who delete would take for the file's."""
    file = read(make("model.pt", "file", "weights"))
    unlink = os.unlink

    def interrupted(*given: Any, **more: Any) -> None:
        monkeypatch.setattr(os, "unlink", unlink)
        if done:
            unlink(*given, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        delete(file)
    assert names() == ([] if done else ["model.pt"])


@KINDS
def test_another_one_of_that_name_stays(folder: Path, kind: str) -> None:
    file = read(make("model.pt", kind, "weights"))
    Path("model.pt").rename("moved.pt")
    make("model.pt", kind, "weights")
    with pytest.raises(OSError, match="another one has taken its name"):
        delete(file)
    assert names() == ["model.pt", "moved.pt"]


@KINDS
def test_another_one_that_takes_the_name_at_the_last_moment_has_it_again(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = read(make("model.pt", kind, "weights"))
    make("other.pt", kind, "the user's")

    def swap() -> None:
        Path("model.pt").rename("moved.pt")
        Path("other.pt").rename("model.pt")

    at_the_last_moment(monkeypatch, swap)
    with pytest.raises(OSError, match="another one has taken its name"):
        delete(file)
    assert (names(), content(Path("model.pt"))) == (["model.pt", "moved.pt"], "the user's")


@KINDS
def test_what_is_written_at_the_last_moment_stays(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make("model.pt", kind, "weights")
    file = read(path)
    target = path / "shard" / "weights" if kind == "folder" else path
    at_the_last_moment(monkeypatch, lambda: target.write_text("the user's own"))
    with pytest.raises(OSError, match="another one has taken its name"):
        delete(file)
    assert (names(), content(path)) == (["model.pt"], "the user's own")


@KINDS
def test_where_the_name_is_taken_again_both_stay(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make("model.pt", kind, "weights")
    file = read(path)
    target = path / "shard" / "weights" if kind == "folder" else path
    rename = os.rename

    def late(*given: Any, **more: Any) -> None:
        monkeypatch.setattr(os, "rename", rename)
        target.write_text("the user's own")
        rename(*given, **more)
        make("model.pt", kind, "a later one")

    monkeypatch.setattr(os, "rename", late)
    with pytest.raises(OSError, match="another one has taken its name"):
        delete(file)
    assert content(path) == "a later one"
    (other,) = (name for name in names() if name != "model.pt")
    assert (other[:6], other[-3:], content(Path(other))) == ("model-", ".pt", "the user's own")


@KINDS
def test_a_file_that_a_kill_left_aside_is_deleted_later(
    folder: Path, kind: str, script: Any
) -> None:
    make("model.pt", kind, "weights")
    at = "os.remove" if kind == "file" else "os.rename"
    assert script(DYING, at, "").wait() == 9
    assert len(names()) == 1
    assert leftovers(folder)[0] == list(folder.iterdir())
    sweep(folder)
    assert names() == []


@KINDS
def test_another_one_that_a_kill_left_aside_gets_its_name_again(
    folder: Path, kind: str, script: Any
) -> None:
    make("model.pt", kind, "weights")
    make("other.pt", kind, "the user's")
    assert script(DYING, "os.link", "swapped").wait() == 9
    assert not Path("model.pt").exists()
    sweep(folder)
    assert (names(), content(Path("model.pt"))) == (["model.pt", "old"], "the user's")
