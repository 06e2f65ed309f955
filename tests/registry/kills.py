"""kill -9 before each change of a folder while a run replaces another one's file, prunes and clears the store."""

from __future__ import annotations

from pathlib import Path

import tracker
from tests.registry import moments
from tracker.checkpointing.store import folder_of
from tracker.maintenance import store
from tracker.maintenance.checkpoints import verify
from tracker.storage.location import locate

PROGRAM = """
import os, sys, tracker, tracker.recording.start
from tracker.maintenance import store
from tracker.storage.location import locate

EVENTS = {"os.link", "os.rename", "os.remove", "os.mkdir"}

def save(run, path, value):
    return run.save_checkpoint(
        path, lambda to: to.write_text(f"{path} {value}"), monitor="loss", value=value
    )

def work(moment):
    with tracker.start_run("kill") as run:
        save(run, "best.pt", 0.1)
    seen = 0
    def count(event, arguments):
        nonlocal seen
        # Of the checkpoints only: what SQLite and its lock do has tests of its own.
        if event in EVENTS and ".pt" in str(arguments):
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), 9)
    sys.addaudithook(count)
    with tracker.start_run("kill") as run:
        save(run, "best.pt", 0.5)
    with tracker.start_run("kill") as run:
        save(run, "best.pt", 0.05)
        made = [save(run, f"{number}.pt", 0.3) for number in range(2)]
        run.prune_checkpoints(made)
    with tracker.start_run("kill") as run:
        save(run, "best.pt", 0.7)
    store.clean(locate(), store.plan(locate(), "none"))
"""
VALUES = ("0.1", "0.5", "0.05", "0.7")


def wrong_after_kills(folder: Path, *, first: int = 1, step: int = 1) -> tuple[int, dict[int, str]]:
    """Kill at every ``step``-th moment from ``first`` on; return at how many, and what was wrong: moment → what."""
    return moments.wrong_after_kills(PROGRAM, folder, _wrong, first=first, step=step)


def _wrong(at: Path) -> str | None:
    """Return what is not as it should be after the next start."""
    tracker.start_run("after").finish()
    content = (at / "best.pt").read_text()
    if content not in {f"best.pt {value}" for value in VALUES}:
        return f"best.pt holds {content!r}"
    for one in verify(locate()):
        if one.checkpoint["state"] == "available" != one.state:
            return f"{one.checkpoint['file']} is {one.state}"
    if left := list(at.glob(".tracker-*")):
        return f"{left} is left"
    store.clean(locate(), store.plan(locate()))
    kept = sorted(path.name[:64] for path in folder_of(locate()).glob("*"))
    rows = tracker.checkpoints().query("state == 'available' and kept.notna()")
    return None if kept == sorted(rows["sha256"]) else f"the store has {kept}"
