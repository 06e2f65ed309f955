"""A copy in a remote folder is whole, or it is none; what a URL may not hold is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.checkpointing.copies import Copy, copies_of_one
from tracker.checkpointing.transfer import fetch_one
from tracker.errors import BadValue, CheckpointError, UsageError
from tracker.files import SavedFile, is_same
from tracker.folders import inspect_path
from tracker.queries.checkpoints import find_checkpoint
from tracker.remote import checked_url, fetch, inspect_remote, remote_path, upload
from tracker.storage.database import reading

KINDS = ("memory", "file")


@pytest.fixture(params=KINDS)
def url(request: Any, tmp_path: Path) -> str:
    return f"memory://{tmp_path}" if request.param == "memory" else f"file://{tmp_path}/far away"


def made(path: str, text: str = "weights") -> SavedFile:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    file = inspect_path(target)
    assert file is not None
    return file


def folder(name: str = "saved") -> SavedFile:
    for part in ("model-00001.bin", "model-00002.bin", "sub/ü config?.json", "empty"):
        made(f"{name}/{part}", "" if part == "empty" else part * 1000)
    file = inspect_path(name)
    assert file is not None
    return file


def test_a_file_comes_back_as_it_was(url: str) -> None:
    file = made("best.pt")
    place = remote_path(url).below("run").below("best.pt")
    assert inspect_remote(place) is None
    upload(file, place)
    assert is_same(inspect_remote(place), file)
    fetch(place, Path("back.pt"), file)
    assert Path("back.pt").read_text() == "weights"


def test_a_folder_comes_back_as_it_was(url: str) -> None:
    file = folder()
    place = remote_path(url).below("run").below("saved")
    upload(file, place)
    assert is_same(inspect_remote(place), file)
    fetch(place, Path("back"), file)
    assert is_same(inspect_path("back"), file)


def test_a_second_upload_sends_only_what_is_missing_or_wrong(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder()
    place = remote_path(url).below("saved")
    upload(file, place)
    sent: list[str] = []
    part, other = place.below("model-00001.bin"), place.below("model-00002.bin")
    place.files.rm(part.path)
    with place.files.open(other.path, "wb") as changed:
        changed.write(b"half of i")
    from tracker import remote

    put = remote._put

    def noted(source: Path, target: Any) -> None:
        before = place.files.exists(target.path) and place.files.cat_file(target.path)
        put(source, target)
        if before != source.read_bytes():
            sent.append(source.name)

    monkeypatch.setattr(remote, "_put", noted)
    upload(file, place)
    assert sorted(sent) == ["model-00001.bin", "model-00002.bin"]
    assert is_same(inspect_remote(place), file)


def test_what_a_kill_left_in_a_folder_is_cleared(url: str) -> None:
    file = folder()
    place = remote_path(url).below("saved")
    upload(file, place)
    for name in ("empty.part-0123abcd", ".tracker-0123abcd-1-01234567-empty"):
        with place.files.open(place.below(name).path, "wb") as left:
            left.write(b"half")
    place.files.rm(place.below("empty").path)
    upload(file, place)
    assert is_same(inspect_remote(place), file)


def test_half_a_file_that_an_ended_process_left_is_cleared(tmp_path: Path) -> None:
    file, place = made("best.pt"), remote_path(f"file://{tmp_path}/far").below("best.pt")
    target = tmp_path / "far" / "best.pt"
    target.parent.mkdir()
    script = (
        "import sys; from pathlib import Path; from tracker.files import temporary_path;"
        "temporary_path(Path(sys.argv[1])).write_bytes(b'half')"
    )
    subprocess.run([sys.executable, "-c", script, str(target)], check=True)
    assert len(list(target.parent.iterdir())) == 1
    upload(file, place)
    assert list(target.parent.iterdir()) == [target]


def test_a_file_that_changes_meanwhile_is_not_copied(url: str) -> None:
    file = made("best.pt")
    made("best.pt", "others")
    place = remote_path(url).below("best.pt")
    with pytest.raises(CheckpointError, match="not what was recorded"):
        upload(file, place)
    assert inspect_remote(place) is None
    Path("best.pt").unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        upload(file, place)


def test_a_changed_copy_is_not_taken(url: str) -> None:
    file = made("best.pt")
    place = remote_path(url).below("best.pt")
    upload(file, place)
    with place.files.open(place.path, "wb") as changed:
        changed.write(b"weightz")
    with pytest.raises(CheckpointError, match="size or SHA-256 differ"):
        fetch(place, Path("back.pt"), file)
    place.files.rm(place.path)
    with pytest.raises(CheckpointError, match="missing"):
        fetch(place, Path("other.pt"), file)


def test_a_name_in_a_bucket_leads_nowhere_else() -> None:
    """Others may write there; a memory file system takes any name, as a bucket does."""
    place = remote_path("memory://evil/saved")
    place.files.store["/evil/saved/../../../escaped"] = place.files.open("memory://x", "wb")
    try:
        with pytest.raises(CheckpointError, match="outside of it"):
            fetch(place, Path("a/b/c/back"), SavedFile(Path("x"), 1, ""))
        assert not Path("escaped").exists() and not Path("a/escaped").exists()
    finally:
        del place.files.store["/evil/saved/../../../escaped"]


def test_a_link_in_a_folder_is_refused(url: str) -> None:
    folder()
    Path("saved/link").symlink_to("empty")
    file = inspect_path("saved")
    assert file is not None
    with pytest.raises(CheckpointError, match="holds a link, link"):
        upload(file, remote_path(url).below("saved"))


@pytest.mark.parametrize(
    "url",
    [
        "s3://me:hunter2@bucket/x",
        "https://host/x?token=hunter2",
        "memory://x?sig=hunter2",
        "memory://x#hunter2",
        "memory://x/ghp_hunter2hunter2hunter2hunter2",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadValue, match="give credentials by the environment") as caught:
        checked_url(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("models/best", "is not the URL"),
        (3, "is not the URL"),
        ("simplecache::s3://bucket/x", "is not the URL"),
        ("memory://x::file://y", "chain"),
        ("memory://" + "x" * 1000, "longer than"),
        ("s4://bucket", "no protocol s4://: did you mean"),
    ],
)
def test_what_is_no_remote_folder_is_refused(url: Any, said: str) -> None:
    with pytest.raises(BadValue, match=said):
        checked_url(url)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UsageError, match="pip install gcsfs"):
        checked_url("gs://bucket/models")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match=r"local-tracker\[remote\]"):
        checked_url("s3://bucket/models")


def test_a_url_loses_the_slash_at_its_end() -> None:
    assert checked_url("memory://x/y/") == "memory://x/y"
    assert checked_url("memory://") == "memory://"
    assert checked_url("file:///") == "file:///"


def test_what_a_store_raises_becomes_a_sentence_without_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = remote_path("memory://x/best.pt")

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("403 for\nhttps://me:hunter2@host/x")

    monkeypatch.setattr(type(place.files), "_open", refuse)
    with pytest.raises(
        CheckpointError, match=r"memory://x/best\.pt cannot be written: 403 for"
    ) as caught:
        upload(made("best.pt"), place)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["epoch=3-token=0.9.pt", "password=secret.pt", "sk-resnet50-imagenet-finetuned.pt", "a\\b.pt"],
)
def test_a_copy_is_fetched_whatever_its_name_looks_like(name: str, tmp_path: Path) -> None:
    remote = (tmp_path / "nas").as_uri()
    with tracker.start_run("copied", remote=remote) as run:
        run.save_checkpoint(Path("saved", name), lambda path: path.write_text("x"), epoch=0)
    Path("saved", name).unlink()
    with reading() as reader:
        row = find_checkpoint(reader, run.id, alias="last")
        copies = copies_of_one(reader.connection, row["id"])
    assert fetch_one(copies, Path("back")) == copies[0].url
    assert Path("back").read_text() == "x"


def test_a_copy_that_cannot_be_reached_leaves_the_next_to_be_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = made("best.pt")
    upload(whole, remote_path((tmp_path / "nas").as_uri()).below("best.pt"))
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    urls = ["gs://bucket/best.pt", "nothing://x/best.pt", f"{(tmp_path / 'nas').as_uri()}/best.pt"]
    copies = [Copy("id", url, whole.bytes, whole.sha256, "available") for url in urls]
    assert fetch_one(copies, Path("back")) == urls[-1]


def test_a_folder_may_hold_a_file_with_a_backslash(tmp_path: Path) -> None:
    Path("saved").mkdir()
    Path("saved", "a\\b").write_text("1")
    file = inspect_path(Path("saved"))
    assert file is not None
    place = remote_path((tmp_path / "nas").as_uri()).below("saved")
    upload(file, place)
    fetch(place, Path("back"), file)
    assert Path("back", "a\\b").read_text() == "1"
