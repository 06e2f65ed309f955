"""A run is recorded with what it ran as; never with the environment, and never at the price of failing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tracker.recording.capture import _machine, capture


def git(*arguments: str) -> None:
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def test_the_state_of_the_repository_is_kept_without_its_secrets(folder: Path) -> None:
    assert capture()["git"] is None
    git("init", "-b", "main")
    git("remote", "add", "origin", "https://me:HUSH@example.org/project.git")
    Path("train.py").write_text("1")
    git("add", ".")
    git("commit", "-m", "one")
    found = capture()["git"]
    assert found["branch"] == "main"
    assert len(found["commit"]) == 40
    assert not found["modified"]
    assert found["remote"] == "https://[hidden]@example.org/project.git"
    Path("train.py").write_text("2")
    assert capture()["git"]["modified"]


def test_a_repository_without_a_commit_is_no_problem() -> None:
    git("init", "-b", "main")
    assert capture()["git"]["branch"] == "main"


def test_the_command_is_kept_without_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["train.py", "--lr", "0.1", "--api-key", "HUSH", "--token=HUSH"]
    )
    command = capture()["command"]
    assert command[1:] == ["train.py", "--lr", "0.1", "--api-key", "[hidden]", "--token=[hidden]"]


def test_nothing_of_the_environment_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SETTING", "HUSH")
    assert "HUSH" not in json.dumps(capture())


def test_versions_of_what_is_installed_are_kept() -> None:
    assert capture()["packages"]["numpy"].count(".") >= 1


def test_what_cannot_be_found_out_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    (folder / "gone").mkdir()
    monkeypatch.chdir(folder / "gone")
    (folder / "gone").rmdir()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: 1 / 0)
    _machine.cache_clear()  # as at the first start of a process
    monkeypatch.setattr(sys, "executable", None)
    found = capture()
    monkeypatch.chdir(folder)
    assert (found["command"], found["folder"], found["machine"], found["git"]) == (None,) * 4
    assert found["packages"]


def test_a_git_that_hangs_or_is_missing_is_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert capture()["git"] is None
    fake = folder / "git"
    fake.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
    fake.chmod(0o755)
    assert capture()["git"] is None


def test_a_package_installed_between_two_runs_is_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    before = capture()["packages"]
    assert "jax" not in before
    info = folder / "jax-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: jax\nVersion: 9.9\n")
    os.utime(folder, ns=(1, 1))
    assert capture()["packages"] == {**before, "jax": "9.9"}
