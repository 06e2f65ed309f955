"""Each checkpoint is copied to the run's remote folder, and training never waits or fails for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

import tracker
from tracker.checkpointing.copies import copies_of
from tracker.remote import inspect_remote, remote_path
from tracker.storage.database import reading


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"memory://{tmp_path}"


def save(run: Any, path: str, text: str, **facts: Any) -> Any:
    return run.save_checkpoint(path, lambda target: target.write_text(text), **facts)


def copied() -> dict[str, str]:
    """Return what is at each URL that a row names, after checking that it is what the row says."""
    found = {}
    with reading() as reader:
        for copies in copies_of(reader.connection, None).values():
            for copy in copies:
                there = inspect_remote(remote_path(copy.url))
                assert there is not None
                assert (there.bytes, there.sha256) == (copy.bytes, copy.sha256)
                found[copy.url] = copy.checkpoint_id
    return found


def test_each_checkpoint_is_copied_files_and_folders(url: str) -> None:
    with tracker.start_run(remote=url + "/") as run:
        file = save(run, "best.pt", "one", epoch=0)
        Path("shards").mkdir()
        Path("shards/a.bin").write_text("a")
        shards = run.log_checkpoint("shards", epoch=1)
    found = copied()
    assert sorted(found.values()) == sorted([file.id, shards.id])
    assert all(one.startswith(f"{url}/{run.id}/") for one in found)
    assert tracker.checkpoints()["remote"].notna().all()


def test_the_environment_says_where_and_an_empty_word_says_nowhere(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKER_REMOTE", url)
    with tracker.start_run() as run:
        save(run, "a.pt", "a")
    with tracker.start_run(remote="") as run:
        save(run, "b.pt", "b")
    assert len(copied()) == 1


def test_a_wrong_folder_is_refused_before_a_run_begins() -> None:
    for recording in (True, False):
        with pytest.raises(tracker.BadValue, match="no protocol s4"):
            tracker.start_run(remote="s4://bucket", recording=recording)
    assert not Path(".tracker").exists()


@pytest.fixture
def held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Return what lets uploads go on, which wait for it; they do so when the test ends."""
    going, opened = threading.Event(), MemoryFileSystem._open

    def slow(*arguments: Any, **options: Any) -> Any:
        going.wait()
        return opened(*arguments, **options)

    monkeypatch.setattr(MemoryFileSystem, "_open", slow)
    yield going
    going.set()


def test_a_store_that_hangs_holds_nothing_up_and_is_told_at_the_end(
    url: str, held: threading.Event, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKER_REMOTE_WAIT", "0")
    with tracker.start_run() as other:
        save(other, "z.pt", "z")
    with tracker.start_run(remote=url) as run:
        for epoch in range(3):
            save(run, f"{epoch}.pt", str(epoch), epoch=epoch)
            run.log_epoch(epoch, {"loss": 1.0})
    assert run.status == "finished"
    assert f"3 checkpoints of run {run.id} are not in {url}" in caplog.text
    assert f"tracker checkpoints upload {run.id} {url} --database " in caplog.text


def test_of_what_waits_only_the_newest_of_a_path_is_copied(url: str, held: threading.Event) -> None:
    with tracker.start_run(remote=url) as run:
        for epoch in range(20):
            last = save(run, "last.pt", str(epoch), epoch=epoch)
        held.set()
    found = copied()
    assert last.id in found.values() and len(found) <= 2


def test_an_interrupted_run_does_not_wait(url: str, held: threading.Event, caplog: Any) -> None:
    with pytest.raises(KeyboardInterrupt), tracker.start_run(remote=url) as run:
        save(run, "a.pt", "a")
        raise KeyboardInterrupt
    assert f"1 checkpoint of run {run.id} is not in {url}" in caplog.text


def refusing(monkeypatch: pytest.MonkeyPatch, times: int) -> Callable[[], int]:
    opened, calls = MemoryFileSystem._open, [0]

    def refuse(self: Any, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode == "wb":
            calls[0] += 1
            if calls[0] <= times:
                raise PermissionError("403 Forbidden: token=hunter2")
        return opened(self, path, mode, **options)

    monkeypatch.setattr(MemoryFileSystem, "_open", refuse)
    return lambda: calls[0]


def test_a_store_that_refuses_is_told_once_and_what_is_missing_at_the_end(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    # On a slow disk the record of a copy may hold the lock for longer, which a strict run would raise.
    monkeypatch.setattr("tracker.recording.recorder._LOCK_SECONDS", 60.0)
    tried = refusing(monkeypatch, times=2)
    with tracker.start_run(remote=url, strict=True) as run:
        for epoch in range(3):
            save(run, f"{epoch}.pt", str(epoch), epoch=epoch)
    assert tried() == 3 and run.status == "finished"
    assert caplog.text.count("Training continues") == 1 and "hunter2" not in caplog.text
    assert f"2 checkpoints of run {run.id} are not in" in caplog.text
    assert len(copied()) == 1


def test_a_file_that_is_gone_before_its_turn_is_no_failure(
    url: str, held: threading.Event, caplog: Any
) -> None:
    with tracker.start_run(remote=url) as run:
        save(run, "0.pt", "0", epoch=0)
        save(run, "1.pt", "1", epoch=1)
        save(run, "2.pt", "2", epoch=2)
        run.prune_checkpoints(run.checkpoints()[1:2])
        held.set()
    assert len(copied()) == 2 and "not in" not in caplog.text


def test_a_copy_is_recorded_where_the_database_answers_again(
    url: str, held: threading.Event, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent, and could not be recorded, is not sent again: only read back."""
    monkeypatch.setenv("TRACKER_REMOTE_WAIT", "0")
    with tracker.start_run(remote=url) as run:
        save(run, "a.pt", "a")
    held.set()
    assert cli("checkpoints", "upload", run.id, url).exit_code == 0
    assert len(copied()) == 1


def test_a_run_in_a_fork_copies_nothing(url: str) -> None:
    run = tracker.start_run(remote=url)
    parents = run.writer._worker  # type: ignore[attr-defined]
    run.disown()
    save(run, "a.pt", "a")
    run.finish()
    parents.stop()  # its thread is in this process, where nothing was forked
    with reading() as reader:
        assert copies_of(reader.connection, None) == {}
