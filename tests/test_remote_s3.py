"""Copies over the protocol of S3, on a server of the test's own; `make test-neighbours` installs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tracker
from tracker.errors import CheckpointError
from tracker.files import is_same
from tracker.folders import inspect_path
from tracker.remote import fetch, inspect_remote, remote_path, upload

pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")

SECRET = "hunter2hunter2"
SIZE = 40 << 20
"""Bytes that are sent in several parts."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    started = moto_server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, request: Any) -> str:
    """Return the URL of a bucket of the test's own."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"b{abs(hash(request.node.name)) % 10**9}"
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"


def test_files_in_several_parts_and_folders_come_back_as_they_were(bucket: str) -> None:
    Path("shards/sub").mkdir(parents=True)
    Path("shards/big.bin").write_bytes(os.urandom(SIZE))
    Path("shards/sub/ü config?.json").write_text("{}")
    Path("shards/empty").touch()
    for source in ("shards/big.bin", "shards"):
        file = inspect_path(source)
        assert file is not None
        place = remote_path(bucket).below("a b").below(Path(source).name)
        assert inspect_remote(place) is None
        upload(file, place)
        assert is_same(inspect_remote(place), file)
        fetch(place, Path("back"), file)
        assert is_same(inspect_path("back"), file)
        Path("back").unlink() if Path("back").is_file() else None


KILLED = """
import os, sys
from tracker.folders import inspect_path
from tracker.remote import remote_path, upload
from s3fs.core import S3File

parts, send = 0, S3File._upload_chunk
def killed(self, final=False):
    global parts
    parts += 1
    if parts == 2:
        os.kill(os.getpid(), 9)
    return send(self, final)
S3File._upload_chunk = killed
upload(inspect_path("big.bin"), remote_path(sys.argv[1]))
"""


def test_a_killed_upload_leaves_no_object_and_the_next_one_makes_it(
    bucket: str, script: Any
) -> None:
    Path("big.bin").write_bytes(os.urandom(SIZE))
    place = remote_path(f"{bucket}/big.bin")
    assert script(KILLED, place.url).wait() == -signal.SIGKILL
    assert inspect_remote(place) is None
    file = inspect_path("big.bin")
    assert file is not None
    upload(file, place)
    assert is_same(inspect_remote(place), file)


def test_an_upload_that_fails_halfway_leaves_neither_an_object_nor_parts(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("big.bin").write_bytes(os.urandom(SIZE))
    file = inspect_path("big.bin")
    assert file is not None
    place = remote_path(f"{bucket}/big.bin")

    def half(source: Any, to: Any, _: int) -> None:
        to.write(source.read(SIZE // 2))
        raise OSError("the disk cannot be read")

    monkeypatch.setattr("tracker.remote.shutil.copyfileobj", half)
    with pytest.raises(CheckpointError, match="the disk cannot be read"):
        upload(file, place)
    assert inspect_remote(place) is None
    listed = place.files.call_s3("list_multipart_uploads", Bucket=bucket.removeprefix("s3://"))
    assert listed.get("Uploads", []) == []


def test_a_run_is_restored_from_its_bucket_and_no_credential_is_stored(
    bucket: str, cli: Any
) -> None:
    with tracker.start_run(name="r", remote=f"{bucket}/models/") as run:
        for epoch, loss in enumerate((0.5, 0.2, 0.3)):
            run.save_checkpoint(
                "best.pt", lambda to, epoch=epoch: to.write_text(f"{epoch}"), epoch=epoch,
                monitor="loss", value=loss,
            )  # fmt: skip
    Path("best.pt").unlink()
    assert cli("checkpoints", "restore", "r", "2", "--to", "back.pt").exit_code == 0
    assert Path("back.pt").read_text() == "2"
    assert cli("checkpoints", "verify", "r").exit_code == 0
    for path in Path(".tracker").glob("tracker.db*"):
        assert SECRET.encode() not in path.read_bytes()


def test_a_bucket_that_is_not_there_is_named_and_not_made(bucket: str, caplog: Any) -> None:
    url = f"{bucket}-other/models"
    with tracker.start_run(name="r", remote=url) as run:
        run.save_checkpoint("a.pt", lambda to: to.write_text("a"))
    assert run.status == "finished"
    assert f"1 checkpoint of run {run.id} is not in {url}" in caplog.text
    assert not remote_path(bucket).files.exists(f"{bucket}-other")
    file = inspect_path("a.pt")
    assert file is not None
    with pytest.raises(CheckpointError, match="cannot be written"):
        upload(file, remote_path(url).below("a.pt"))
