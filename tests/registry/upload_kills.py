"""kill -9 before each change of a remote folder, each piece that is sent there and each row, while files are copied."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.plain_store import register
from tests.registry import moments
from tracker.checkpointing import transfer
from tracker.checkpointing.copies import copies_of
from tracker.maintenance import upload
from tracker.states import CheckpointState
from tracker.storage.database import reading
from tracker.storage.location import locate

PROGRAM = """
import os, sys, tracker, tracker.recording.start
from pathlib import Path
from tests.helpers.plain_store import register
from tracker.maintenance import upload
from tracker.storage.location import locate

CHANGES = {"os.rename", "os.remove", "os.mkdir", "plain.write"}
register()

def work(moment, url):
    with tracker.start_run("kill", name="r") as run:
        run.save_checkpoint("a.pt", lambda to: to.write_text("a" * 200), epoch=0)
        Path("shards/sub").mkdir(parents=True)
        Path("shards/sub/b").write_text("b" * 200)
        Path("shards/c").write_text("c")
        run.log_checkpoint("shards", epoch=1)
    seen = 0
    def count(event, arguments):
        nonlocal seen
        opened = event == "open" and "w" in str(arguments[1])
        if event == "sqlite3.connect" or "far" in str(arguments[:1]) and (opened or event in CHANGES):
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), 9)
    sys.addaudithook(count)
    for _, why in upload.upload(locate(), upload.plan(locate(), [run.id], url), jobs=1):
        assert why is None, why
"""


def wrong_after_kills(
    folder: Path, protocol: str, *, first: int = 1, step: int = 1
) -> tuple[int, dict[int, str]]:
    """Kill at every ``step``-th moment from ``first`` on; return at how many, and what was wrong: moment → what."""
    register()
    return moments.wrong_after_kills(
        PROGRAM,
        folder,
        lambda at: _wrong(_url(protocol, at)),
        lambda at: _url(protocol, at),
        prefix=f"{protocol}-",
        first=first,
        step=step,
    )


def _url(protocol: str, at: Path) -> str:
    return f"{protocol}://{at}/far"


def _wrong(url: str) -> str | None:
    """Return what is not as it should be: after the kill, and after a second call."""
    if (found := _wrong_rows()) is not None:
        return found
    with reading() as reader:
        known = set(copies_of(reader.connection, None))
        (run,) = reader.connection.exec_driver_sql("SELECT id FROM run").scalars()
    planned = upload.plan(locate(), [run], url)
    if planned.there != len(known) or len(planned.going) != 2 - len(known):
        return f"{len(planned.going)} to copy, with {len(known)} there"
    for _, why in upload.upload(locate(), planned):
        if why is not None:
            return why
    with reading() as reader:
        if len(copies_of(reader.connection, None)) != 2:
            return "a second call has not copied what was missing"
    return _wrong_rows()


def _wrong_rows() -> str | None:
    """Return which row names an object with another hash, or none."""
    with reading() as reader:
        copies = [copy for of_one in copies_of(reader.connection, None).values() for copy in of_one]
    for copy in copies:
        if (state := transfer.check(copy)) != CheckpointState.AVAILABLE:
            return f"{copy.url} is {state}"
    return None
