"""Training loops that are ended in every way that a process can end; works as those of `tests.faults.works`."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import NoReturn

import tracker
from tests.faults.works import acknowledge, loss_of

PIECES = 40
"""A checkpoint is written in so many pieces, so that a signal often comes within a save."""
EPOCHS = 4
OWN_CODE = 3


def forever(within: bool, handler: bool) -> None:
    """Record until a signal comes.

    Args:
        within: whether the run is a ``with`` block.
        handler: whether the script has a SIGTERM handler of its own, which exits with `OWN_CODE`.
    """
    if handler:
        signal.signal(signal.SIGTERM, _exit_with_own_code)
    run = tracker.start_run("fault", "run", resume="auto", system_metrics=False)
    with run if within else nullcontext():
        for epoch in count(run.first_epoch):
            _train(run, epoch, lambda _: None)


def _exit_with_own_code(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(OWN_CODE)


def _train(run: tracker.Run, epoch: int, at: Callable[[str], object]) -> None:
    """Save, prune and record an epoch; ``at`` is told of each place on the way."""
    at("before")
    for path in ("ckpt-run/best", f"ckpt-run/{epoch}"):
        run.save_checkpoint(path, partial(_save, epoch, at), epoch=epoch)
    run.prune_checkpoints(run.checkpoints()[:-2])
    run.log({"step_loss": loss_of(epoch)})
    run.log_epoch(epoch, {"loss": loss_of(epoch)})
    acknowledge(run.id, epoch, loss_of(epoch))
    at("after")


def _save(epoch: int, at: Callable[[str], object], path: Path) -> None:
    with path.open("w", buffering=1) as file:
        for _ in range(PIECES):
            print(epoch, loss_of(epoch), file=file)
        at("save")


PLACES = ("before", "save", "after")


def until(ending: str, place: str, last: int, within: bool) -> None:
    """Record `EPOCHS` epochs; at a place of epoch ``last``, do one of `ENDINGS`."""
    run = tracker.start_run("fault", "run", system_metrics=False)
    with run if within else nullcontext():
        for epoch in range(EPOCHS):

            def at(here: str, epoch: int = epoch) -> None:
                if (here, epoch) == (place, last):
                    ENDINGS[ending]()

            _train(run, epoch, at)


def cell(place: str, last: int) -> None:
    """A notebook's cell, which is interrupted once and run again."""
    sys.ps1 = ">>> "
    for interrupted in (True, False):
        with tracker.start_run("fault", system_metrics=False) as run:
            for epoch in range(EPOCHS):

                def at(here: str, epoch: int = epoch, interrupted: bool = interrupted) -> None:
                    if interrupted and (here, epoch) == (place, last):
                        raise KeyboardInterrupt

                try:
                    _train(run, epoch, at)
                except KeyboardInterrupt as error:
                    run.fail(error)
                    break


def _raise() -> NoReturn:
    raise ValueError("the loss is not finite")


def _children() -> None:
    """Start processes as data loaders do; one of them fails, and one exits."""
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_leave, args=(how,)) for how in ("return", "raise", "exit")]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 1, OWN_CODE]


def _leave(how: str) -> None:
    assert tracker.active_run() is None
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - what a worker says is its owner's
    if how == "raise":
        _raise()
    if how == "exit":
        sys.exit(OWN_CODE)


ENDINGS: dict[str, Callable[[], object]] = {
    "os._exit": lambda: os._exit(OWN_CODE),
    "sys.exit": lambda: sys.exit(OWN_CODE),
    "an uncaught exception": _raise,
    "a segmentation fault": lambda: ctypes.string_at(0),
    "an abort": os.abort,
    "children that fail and exit": _children,
}


POINTS = 50_000
"""Steps that wait in memory when a process begins to end."""


def leave(explicitly: bool) -> None:
    """End with a full queue while somebody holds the database; the time at which that begins is noted."""
    run = tracker.start_run("fault", "run", system_metrics=False)
    run.log_epoch(0, {"loss": loss_of(0)})
    acknowledge(run.id, 0, loss_of(0))
    with Path("../ready").open("w"):
        pass
    while not Path("../held").exists():
        time.sleep(0.001)
    for _ in range(POINTS):
        run.log({"step_loss": 1.0})
    Path("../leaving").write_text(str(time.monotonic()))
    if explicitly:
        run.finish()
