"""What processes do while faults hit them, each in a fork of one that has imported everything already.

Run as ``python -m tests.faults.works``: it reads one request per line, JSON, and answers each with a line. What is
acknowledged, and what is logged, is written beside the folder of the work, which faults do not hit.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import logging
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import tracker
import tracker.recording.start
from tests.faults.oracle import NOTE
from tracker.maintenance.doctor import mend
from tracker.recording.recorder import Recorder
from tracker.storage import migrate
from tracker.storage.location import locate
from tracker.storage.prepare import prepare

exec(NOTE)  # defines note(), as scripts of tests have it
_note: Callable[..., None] = globals()["note"]

_library = ctypes.CDLL(None)

EPOCHS, MOST_STARTS = 3, 10
ACKNOWLEDGED, LOG, TOOK, SAID = "acknowledged", "log", "took", "said"
SAVED, ENOUGH, NOTED = "saved", "enough", "complete"


def loss_of(epoch: int) -> float:
    """Return a value with all its bits."""
    return random.Random(epoch).random()


class Stopwatch:
    """How many seconds each call took."""

    def __init__(self) -> None:
        self.took: list[float] = []

    def __call__(self, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        begun = time.monotonic()
        try:
            return call(*given, **named)
        finally:
            self.took.append(time.monotonic() - begun)


def started(start: Callable[[], Any]) -> Any:
    """Start a run; one that is refused because others start has written nothing, and is tried again."""
    for _ in range(MOST_STARTS):
        try:
            return start()
        except tracker.DatabaseBusy:
            continue
    return start()


def record(
    epochs: int = EPOCHS,
    pause: float = 0.0,
    checkpoints: bool = True,
    name: str = "run",
    beside: bool = False,
) -> None:
    """Record some epochs, with a checkpoint and a prune each; continue where an earlier one was killed.

    ``beside``: a thread saves and prunes.
    """
    timed = Stopwatch()
    run = started(lambda: tracker.start_run("fault", name, resume="auto", system_metrics=False))
    saver: tracker.BackgroundSaver | None = None
    for epoch in range(run.first_epoch, run.first_epoch + epochs):
        loss = loss_of(epoch)
        timed(run.log, {"step_loss": loss})
        if beside:
            saver = saver or run.background_saver()
            saver.begin(partial(_save, run, name, epoch, timed))
        elif checkpoints:
            _save(run, name, epoch, timed)
        timed(run.log_epoch, epoch, {"loss": loss, "other": 1.0})
        acknowledge(run.id, epoch, loss)
        time.sleep(pause)
    ending = time.monotonic()
    run.finish()
    _note(_beside(TOOK), timed.took, time.monotonic() - ending)


PARTS, PART_EPOCHS, PART_PAUSE = 2, 4, 1.3


def record_in_parts(name: str) -> None:
    """Record a run that is finished and resumed some times; note how long each call and each end took."""
    for part in range(PARTS):
        timed = Stopwatch()
        run = _begun(name, resume=name if part else None)
        for epoch in range(run.first_epoch, run.first_epoch + PART_EPOCHS):
            timed(run.log, {"step_loss": loss_of(epoch)})
            _save(run, name, epoch, timed)
            timed(run.log_epoch, epoch, {"loss": loss_of(epoch), "other": 1.0})
            acknowledge(run.id, epoch, loss_of(epoch))
            time.sleep(PART_PAUSE)
        ending = time.monotonic()
        run.finish()
        _note(_beside(TOOK), timed.took, time.monotonic() - ending)


def _begun(name: str, resume: str | None) -> tracker.Run:
    """Start a run, or resume one; a server that is away refuses that with a sentence, and is asked again."""
    give_up = time.monotonic() + LONGEST_OUTAGE
    while True:
        try:
            return tracker.start_run("fault", name, resume=resume, system_metrics=False)
        except tracker.TrackerError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.5)


LONGEST_OUTAGE = 120.0


def _save(run: tracker.Run, name: str, epoch: int, timed: Stopwatch) -> None:
    """Save two checkpoints, and prune."""
    save = partial(Path.write_text, data=f"{epoch} {loss_of(epoch)}")
    for path in (f"ckpt-{name}/best", f"ckpt-{name}/{epoch}"):
        # What cannot be saved is its owner's to handle, as without us; the best so far must stay.
        with suppress(OSError):
            timed(run.save_checkpoint, path, save, epoch=epoch)
    timed(run.prune_checkpoints, timed(run.checkpoints)[:-2])


def note(name: str, *facts: Any) -> None:
    """Note something in a file beside the folder of the work, on the disk when this returns."""
    _note(_beside(name), *facts)


def acknowledge(run: str, epoch: int, loss: float) -> None:
    """Note that an epoch was recorded, its call having returned."""
    _note(_beside(ACKNOWLEDGED), run, epoch, loss)
    if hasattr(_library, "fault_mark"):
        _library.fault_mark(str(epoch).encode())


def _beside(name: str) -> Path:
    """Return a file beside the folder of the work, by a path that does not go through it."""
    return Path.cwd().parent / name


def save(size: int) -> None:
    """Save a file of that size over the last one in each epoch, whether there is room for it or not."""
    run = tracker.start_run("fault", "run", system_metrics=False)
    for epoch in range(EPOCHS):
        done = True
        try:
            content = content_of(epoch, size)
            run.save_checkpoint(
                "ckpt-run/best", partial(Path.write_bytes, data=content), epoch=epoch
            )
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            done = False
        _note(_beside(SAVED), epoch, done)
        run.log_epoch(epoch, {"loss": loss_of(epoch)})
        acknowledge(run.id, epoch, loss_of(epoch))
    run.finish()


def content_of(epoch: int, size: int) -> bytes:
    """Return the bytes that are saved in an epoch."""
    return random.Random(epoch).randbytes(size)


def share(epochs: int) -> None:
    """Record while another program writes; note of each call how long it took, and how much it left for later."""
    begun = time.monotonic()
    run = tracker.start_run("fault", "run", system_metrics=False)
    noted = [(time.monotonic() - begun, 0)]
    assert isinstance(run.writer, Recorder)
    for epoch in range(epochs):
        begun, before = time.monotonic(), run.writer.spooled
        run.log_epoch(epoch, {"loss": loss_of(epoch)})
        noted.append((time.monotonic() - begun, run.writer.spooled - before))
        acknowledge(run.id, epoch, loss_of(epoch))
    run.finish()
    _note(_beside(TOOK), noted, 0.0)


def write_beside() -> None:
    """Write as a program that does not know our lock file, until it is told to stop."""
    with closing(sqlite3.connect(locate().path or "", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA busy_timeout=60000")
        while not _beside(ENOUGH).exists():
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE run SET seconds = seconds")
            time.sleep(0.001)
            connection.execute("COMMIT")
            time.sleep(0.004)


def write_every_file(umask: int) -> None:
    """Leave each kind of file that there may be beside a database, as a process that is killed does."""
    os.umask(umask)
    for number in range(2):  # the second run replaces the first one's checkpoint, which is kept
        run = tracker.start_run("fault", keep="run", system_metrics=False)
        run.save_checkpoint(
            "ckpt/best", partial(Path.write_text, data=str(number)), monitor="loss", value=1.0
        )
    migrate.backup(locate())
    with closing(sqlite3.connect(locate().path or "", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        run.log_epoch(0, {"loss": 1.0})


def recover() -> None:
    """Start a run, which imports and finishes what others have left."""
    started(lambda: tracker.start_run("after", system_metrics=False)).finish()


def use_everything() -> None:
    """Do once what works do again and again."""
    record()
    recover()
    mend(locate())


WORKS: dict[str, Callable[..., object]] = {
    "record": record,
    "record in parts": record_in_parts,
    "save": save,
    "share": share,
    "write beside": write_beside,
    "write every file": write_every_file,
    "recover": recover,
    "use everything": use_everything,
    "prepare": lambda: prepare(locate()),
    "upgrade": lambda: migrate.upgrade(locate()),
    "mend": lambda: mend(locate()),
}


def serve() -> None:
    """Fork a child for each request; answer with its exit code and the calls it has made.

    In a child whose process is to end as a script's does (``whole``), this returns when its work is done, and raises
    what that raises.
    """
    for line in sys.stdin:
        request = json.loads(line)
        if (pid := request.get("collect")) is not None:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            print(json.dumps({"code": code, "calls": -1}), flush=True)
            continue
        if request.get("here", False):
            _warm_up(request)
            print(json.dumps({}), flush=True)
            continue
        ours, theirs = os.pipe()
        if (child := os.fork()) == 0:
            os.close(ours)
            if request.get("whole", False):
                _whole(request)
                return
            _work(request, theirs)
        os.close(theirs)
        if request.get("wait", True):
            with os.fdopen(ours) as answer:
                calls = int(answer.read() or -1)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            print(json.dumps({"code": code, "calls": calls}), flush=True)
        else:
            os.close(ours)
            print(json.dumps({"pid": child}), flush=True)


def _warm_up(request: dict[str, Any]) -> None:
    """Do a work in this process, in a folder that is removed: what it loads and compiles, its forks have."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        work.mkdir()
        os.chdir(work)
        logging.disable(logging.CRITICAL)
        try:
            _work_of(request["work"])(**request.get("given", {}))
        finally:
            logging.disable(logging.NOTSET)
            os.chdir(before)
    # A thread would not be there after a fork.
    assert threading.active_count() == 1, threading.enumerate()
    gc.freeze()


def _whole(request: dict[str, Any]) -> None:
    """Do a work as a script of its own would; what it says is written beside its folder."""
    os.chdir(request["folder"])
    said = os.open(_beside(SAID), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(said, descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _work_of(request["work"])(**request.get("given", {}))


def _work_of(name: str) -> Callable[..., object]:
    """Return a work by its name here, or where it is: ``module:function``."""
    found: Callable[..., object] = WORKS[name] if name in WORKS else resolve_name(name)
    return found


def _work(request: dict[str, Any], answer: int) -> None:
    """Never returns."""
    os.chdir(request["folder"])
    logging.basicConfig(filename=_beside(LOG), format="%(message)s", force=True)
    os.dup2(os.open(_beside(LOG), os.O_CREAT | os.O_APPEND | os.O_WRONLY), 2)
    below = os.fsencode(Path.cwd())
    code = 1
    try:
        if (fault := request.get("fault")) is not None:
            _library.fault_arm(below, *fault)
        if (trace := request.get("trace")) is not None:
            _library.fault_trace(below, os.fsencode(trace))
        _work_of(request["work"])(**request.get("given", {}))
        code = 0
        calls = _library.fault_count() if hasattr(_library, "fault_count") else 0
        if request.get("wait", True):
            os.write(answer, str(calls).encode())
    except BaseException as error:
        with _beside(LOG).open("a") as log:
            print(f"RAISED {type(error).__name__}: {error}", file=log)
    finally:
        os._exit(code)


if __name__ == "__main__":
    for module in sys.argv[1:]:  # what the works of a family need
        import_module(module)
    serve()
