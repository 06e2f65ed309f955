"""What every test starts from: an empty folder, no database of the developer's, one process of many."""

from __future__ import annotations

import ctypes
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT
from tests.helpers.patience import LIMITS, LONG

Script = Callable[..., "subprocess.Popen[str]"]
Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder; runs that a test left open are closed afterwards, and copies and saves done."""
    monkeypatch.chdir(tmp_path)
    from tracker.ranks import RANKS
    from tracker.recording.active import live_runs

    for name in ("TRACKER_DATABASE_URL", "TRACKER_MODE", *RANKS):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    for run in live_runs():
        run.finish()
    for thread in threading.enumerate():
        # What goes on after its test would meet the patches of the next.
        if thread.name in {"tracker-upload", "tracker-saver", "tracker-fsync"}:
            thread.join(60.0)
            assert not thread.is_alive(), f"{thread.name} hangs after its test"


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a slow disk of the testing machine, so that what was recorded can be asked for at once.

    Training waits a second for a commit, 0.1 s for the spool, and then goes on while they are under way; a test of that
    says `impatient`.
    """
    if request.node.get_closest_marker("impatient") is None:
        for name in LIMITS:
            monkeypatch.setattr(f"tracker.recording.recorder.{name}", LONG)


def prepare(unprivileged: bool) -> None:
    """In a new process: Ctrl-C ends it, also where the tests run in the background, which ignores it.

    ``unprivileged`` binds a process of root's by file permissions, like everybody's.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not unprivileged:
        return
    drop = ctypes.CDLL(None).prctl
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        drop(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.fixture
def script(folder: Path) -> Iterator[Script]:
    """Start Python code as another process, in the test's folder; what still runs at the end is killed.

    ``unprivileged=True``: bound by file permissions even when root runs the tests.
    """
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        paths = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options["env"] = {**os.environ, "PYTHONPATH": paths, **options.get("env", {})}
        unprivileged = options.pop("unprivileged", False)
        options["preexec_fn"] = partial(prepare, unprivileged=unprivileged)
        command = [sys.executable, "-c", code, *map(str, arguments)]
        process = subprocess.Popen(command, text=True, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate()


@pytest.fixture
def sql(folder: Path) -> Sql:
    """Read the test's database with nothing of ours in between."""

    def ask(query: str, *values: object, path: str | Path = ".tracker/tracker.db") -> Any:
        with closing(sqlite3.connect(folder / path)) as connection:
            return connection.execute(query, values).fetchall()

    return ask


@pytest.fixture
def locked() -> Callable[[], AbstractContextManager[None]]:
    """Return what holds the database as another process would, in a ``with`` block."""

    @contextmanager
    def holding() -> Iterator[None]:
        with closing(sqlite3.connect(".tracker/tracker.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield

    return holding


@pytest.fixture
def cli() -> Callable[..., Any]:
    """Call ``tracker …`` in this process; an error that is none of ours or click's comes out as it is."""
    from tests.helpers.cli import runner
    from tracker.cli import program

    def call(*words: object, **options: Any) -> Any:
        result = runner().invoke(program, [str(word) for word in words], **options)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call
