"""``tracker checkpoints upload``, and what a copy is good for when the file is gone or changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.remote import remote_path


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/far"


@pytest.fixture
def run(folder: Path) -> Any:
    """Record a run with three files, the second the best, and a folder."""
    with tracker.start_run(name="r") as run:
        for epoch, value in enumerate((3.0, 1.0, 2.0)):
            run.save_checkpoint(
                f"{epoch}.pt", lambda path, epoch=epoch: path.write_text(f"epoch {epoch}"),
                epoch=epoch, monitor="val_loss", value=value,
            )  # fmt: skip
        Path("shards/sub").mkdir(parents=True)
        Path("shards/a.bin").write_text("a")
        Path("shards/sub/b.bin").write_text("b")
        run.log_checkpoint("shards", epoch=3)
    return run


def rows(cli: Any, *words: str) -> dict[int, dict[str, Any]]:
    said = cli("checkpoints", *words, "--format", "json").stdout
    return {row["epoch"]: row for row in json.loads(said)}


def test_upload_copies_what_is_not_there_yet(run: Any, url: str, cli: Any) -> None:
    said = cli("checkpoints", "upload", "r", url, "--dry-run").stdout
    assert said.count("would copy") == 4 and "4 files, 23 B to copy; 0 copies there" in said
    assert not Path("far").exists() and rows(cli, "list", "r")[0]["remote"] is None
    said = cli("checkpoints", "upload", "r", url + "/", "--jobs", 2).stdout
    assert said.count("copied ") == 4 and "4 files, 23 B copied; 0 copies there already." in said
    listed = rows(cli, "list", "r")
    assert Path(listed[1]["remote"].removeprefix("file://")).read_text() == "epoch 1"
    said = cli("checkpoints", "upload", "--where", "name = 'r'", url).stdout
    assert said == "0 files, 0 B copied; 4 copies there already.\n"


def test_upload_of_what_was_changed_fails_and_copies_the_rest(run: Any, url: str, cli: Any) -> None:
    Path("0.pt").write_text("another")
    result = cli("checkpoints", "upload", "r", url)
    assert result.exit_code == 1 and result.stdout.count("not copied: r epoch 0 0.pt") == 1
    assert "3 files, 16 B copied" in result.stdout and "call again for the rest" in result.stderr
    listed = rows(cli, "list", "r")
    assert [bool(listed[epoch]["remote"]) for epoch in range(4)] == [False, True, True, True]


def test_upload_needs_runs_and_a_url(run: Any, url: str, cli: Any) -> None:
    for words, said in (
        ((url,), "Name runs"),
        (("r", "far"), "is not the URL of a remote folder"),
        (("r", "s3://me:hunter2@bucket/x"), "holds a password"),
    ):
        result = cli("checkpoints", "upload", *words)
        assert result.exit_code == 2 and said in result.stderr and "hunter2" not in result.stderr


def test_restore_takes_the_copy_of_a_file_that_is_gone_or_changed(
    run: Any, url: str, cli: Any
) -> None:
    cli("checkpoints", "upload", "r", url)
    Path("0.pt").write_text("another")
    Path("1.pt").unlink()
    shutil.rmtree("shards/sub")
    assert rows(cli, "list", "r")[1]["alias"] == "best"
    for epoch in (0, 1):
        assert cli("checkpoints", "restore", "r", epoch, "--to", f"back{epoch}.pt").exit_code == 0
        assert Path(f"back{epoch}.pt").read_text() == f"epoch {epoch}"
    assert cli("checkpoints", "restore", "r", "3", "--to", "shards", "--force").exit_code == 0
    assert cli("checkpoints", "restore", "r", "best", "--to", "1.pt").exit_code == 0
    assert cli("checkpoints", "restore", "r", "0", "--to", "0.pt").exit_code == 1
    assert cli("checkpoints", "restore", "r", "0", "--to", "0.pt", "--force").exit_code == 0
    assert cli("checkpoints", "verify", "r").exit_code == 0
    assert not list(Path().glob(".tracker-*"))


def test_restore_without_a_whole_copy_says_what_is_wrong_with_each(
    run: Any, url: str, cli: Any
) -> None:
    cli("checkpoints", "upload", "r", url)
    copy = Path(rows(cli, "list", "r")[1]["remote"].removeprefix("file://"))
    Path("1.pt").unlink()
    copy.write_text("epoch !")
    result = cli("checkpoints", "restore", "r", "1", "--to", "back.pt")
    assert result.exit_code == 1 and "size or SHA-256 differ" in result.stderr
    assert not Path("back.pt").exists() and not list(Path().glob(".tracker-*"))


def test_verify_reads_the_copy_where_the_file_is_not_as_it_was(
    run: Any, url: str, cli: Any
) -> None:
    cli("checkpoints", "upload", "r", url)
    Path("0.pt").write_text("another")
    Path("1.pt").unlink()
    found = rows(cli, "verify", "r")
    assert [(found[n]["state"], found[n]["copy"]) for n in range(3)] == [
        ("modified", "available"),
        ("missing", "available"),
        ("available", None),
    ]
    copy = Path(rows(cli, "list", "r")[1]["remote"].removeprefix("file://"))
    copy.write_text("epoch !")
    result = cli("checkpoints", "verify", "r")
    assert result.exit_code == 1 and "1.pt is missing (its copy is modified)" in result.stderr
    assert rows(cli, "list", "r")[1]["remote"] is None
    other = Path(rows(cli, "list", "r")[2]["remote"].removeprefix("file://"))
    other.unlink()
    assert rows(cli, "verify", "r")[2]["copy"] is None
    result = cli("checkpoints", "verify", "r", "--remote")
    assert "2.pt is available (its copy is missing)" in result.stderr
    # What is gone there is sent again.
    assert "1 file, 7 B copied" in cli("checkpoints", "upload", "r", url).stdout
    assert other.read_text() == "epoch 2"


def test_a_copy_that_cannot_be_reached_keeps_its_state(
    run: Any, url: str, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("checkpoints", "upload", "r", url)
    files = type(remote_path(url).files)

    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(files, "info", refuse)
    result = cli("checkpoints", "verify", "r", "--remote")
    assert result.exit_code == 1 and "(its copy is unreachable)" in result.stderr
    assert rows(cli, "list", "r")[2]["remote"] is not None


def test_a_pruned_checkpoint_has_its_copy(run: Any, url: str, cli: Any) -> None:
    cli("checkpoints", "upload", "r", url)
    cli("checkpoints", "prune", "r", "--yes")
    assert not Path("0.pt").exists()
    listed = rows(cli, "list", "r")[0]
    assert listed["state"] == "pruned" and listed["remote"]
    assert cli("checkpoints", "restore", "r", "0", "--to", "back.pt").exit_code == 0
    assert cli("runs", "delete", "r", "--yes").exit_code == 0
    assert Path(listed["remote"].removeprefix("file://")).read_text() == "epoch 0"
