"""What processes do while faults hit them, each in a fork of one that has imported everything already.

Run as ``python -m tests.faults.works``: it reads one request per line, JSON, and answers each with a line. What is
acknowledged, and what is logged, is written beside the folder of the work, which faults do not hit.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import tracker
import tracker.recording.start
from tests.faults.oracle import NOTE
from tracker.maintenance.doctor import mend
from tracker.storage import migrate
from tracker.storage.location import locate
from tracker.storage.prepare import prepare

exec(NOTE)  # defines note(), as scripts of tests have it
_note: Callable[..., None] = globals()["note"]

_library = ctypes.CDLL(None)

EPOCHS, MOST_STARTS = 3, 10
ACKNOWLEDGED, LOG, TOOK = "acknowledged", "log", "took"


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
        _acknowledge(run.id, epoch, loss)
        time.sleep(pause)
    ending = time.monotonic()
    run.finish()
    _note(_beside(TOOK), timed.took, time.monotonic() - ending)


def _save(run: tracker.Run, name: str, epoch: int, timed: Stopwatch) -> None:
    """Save two checkpoints, and prune."""
    save = partial(Path.write_text, data=f"{epoch} {loss_of(epoch)}")
    for path in (f"ckpt-{name}/best", f"ckpt-{name}/{epoch}"):
        # What cannot be saved is its owner's to handle, as without us; the best so far must stay.
        with suppress(OSError):
            timed(run.save_checkpoint, path, save, epoch=epoch)
    timed(run.prune_checkpoints, timed(run.checkpoints)[:-2])


def _acknowledge(run: str, epoch: int, loss: float) -> None:
    _note(_beside(ACKNOWLEDGED), run, epoch, loss)
    if hasattr(_library, "fault_mark"):
        _library.fault_mark(str(epoch).encode())


def _beside(name: str) -> Path:
    """Return a file beside the folder of the work, by a path that does not go through it."""
    return Path.cwd().parent / name


def recover() -> None:
    """Start a run, which imports and finishes what others have left."""
    started(lambda: tracker.start_run("after", system_metrics=False)).finish()


WORKS: dict[str, Callable[..., object]] = {
    "record": record,
    "recover": recover,
    "prepare": lambda: prepare(locate()),
    "upgrade": lambda: migrate.upgrade(locate()),
    "mend": lambda: mend(locate()),
}


def serve() -> None:
    """Fork a child for each request; answer with its exit code and the calls it has made."""
    for line in sys.stdin:
        request = json.loads(line)
        ours, theirs = os.pipe()
        if (child := os.fork()) == 0:
            os.close(ours)
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


def _work(request: dict[str, Any], answer: int) -> None:
    """Never returns."""
    os.chdir(request["folder"])
    logging.basicConfig(filename=_beside(LOG), format="%(message)s", force=True)
    below = os.fsencode(Path.cwd())
    code = 1
    try:
        if (fault := request.get("fault")) is not None:
            _library.fault_arm(below, *fault)
        if (trace := request.get("trace")) is not None:
            _library.fault_trace(below, os.fsencode(trace))
        WORKS[request["work"]](**request.get("given", {}))
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
    serve()
