"""A folder or a file is swapped for another one at any moment of its removal: nobody else's file is deleted."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import product
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import tracker
from tests.faults.family import Family, Result, moments, share_of
from tests.faults.processes import Place, forks
from tests.helpers import ROOT
from tracker.checkpointing import store
from tracker.checkpointing.registry import Checkpoint, prune
from tracker.folders import inspect_path
from tracker.maintenance import edits
from tracker.maintenance import store as maintenance
from tracker.storage.location import locate

WORK = "tests.faults.swaps:removed"
OURS = str(ROOT / "tracker")
SWAPPED, CALLS = (
    "swapped",
    ("open", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "os.rename", "os.link"),
)
"""The file that says that the moment came, and the calls of the file system that Python tells of."""


VICTIM = Path("victim")
"""The folder in which somebody has a file or folder of the same name; it says "victim"."""


def _folder(target: Path) -> None:
    """The folder of the checkpoint is a link to the victim's."""
    target.parent.rename("away")
    target.parent.symlink_to(VICTIM.absolute())


def _name(target: Path) -> None:
    """The victim takes the name of the checkpoint."""
    target.rename("away")
    (VICTIM / target.name).rename(target)


def _hard_link(target: Path) -> None:
    """The checkpoint, or a file in it, is a second name of the victim."""
    victim, folder = VICTIM / target.name, target.is_dir()
    target.rename("away")
    if folder:
        target.mkdir()
        os.link(victim / "weights", target / "weights")
    else:
        os.link(victim, target)


def _link(target: Path) -> None:
    """The checkpoint is a link to the victim."""
    target.rename("away")
    target.symlink_to((VICTIM / target.name).absolute())


SWAPS = {"folder": _folder, "name": _name, "hard link": _hard_link, "link": _link}

Removal = Callable[[], object]


def _save(run: tracker.Run, name: str) -> tracker.Checkpoint:
    return run.save_checkpoint(f"ckpt/{name}", partial(Path.write_text, data="x"))


def _pruned() -> tuple[Path, Removal]:
    """The first of two files of a run is pruned."""
    run = tracker.start_run("fault", system_metrics=False)
    made = [_save(run, name) for name in ("0.pt", "1.pt")]
    return made[0].path, lambda: run.prune_checkpoints(made[:1])


def _pruned_folder() -> tuple[Path, Removal]:
    """A folder is pruned."""
    run = tracker.start_run("fault", system_metrics=False)
    path = Path("ckpt/0")
    path.mkdir(parents=True)
    (path / "weights").write_text("x")
    made = [run.log_checkpoint(path), _save(run, "1.pt")]
    return made[0].path, lambda: run.prune_checkpoints(made[:1])


def _cleared() -> tuple[Path, Removal]:
    """What a later run has replaced goes from the store."""
    for value in (0.1, 0.2):
        with tracker.start_run("fault", system_metrics=False) as run:
            save = partial(Path.write_text, data=f"{value}")
            run.save_checkpoint("ckpt/0.pt", save, monitor="loss", value=value)
    (target,) = store.files_in(locate())
    return target, lambda: maintenance.clean(locate(), maintenance.plan(locate(), "none"))


def _deleted() -> tuple[Path, Removal]:
    """A run is deleted with its files."""
    with tracker.start_run("fault", system_metrics=False) as run:
        made = _save(run, "0.pt")
    return made.path, lambda: edits.delete(locate(), [run.id], files=True)


REMOVALS = {
    "pruned": _pruned, "pruned folder": _pruned_folder, "cleared": _cleared, "deleted": _deleted,
}  # fmt: skip


class Moments:
    """Counts the moments of a removal, and swaps at one of them: each line of ours, or each call of the file system."""

    def __init__(self, at: int, swap: partial[None]) -> None:
        self._left, self._swap = at, swap

    def next(self) -> None:
        """Count one, and swap when it is the chosen one; what the swap does is not counted."""
        if self._left > 0:
            self._left -= 1
            if self._left == 0:
                sys.settrace(None)
                # It may have gone already.
                with suppress(FileNotFoundError):
                    self._swap()
                (Path.cwd().parent / SWAPPED).touch()

    def at_calls(self) -> None:
        """Count the calls."""
        sys.addaudithook(lambda event, _: self.next() if event in CALLS else None)

    def at_lines(self) -> None:
        """Count the lines of ours, in this thread."""

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            if not frame.f_code.co_filename.startswith(OURS):
                return None
            if event == "line":
                self.next()
            return trace

        sys.settrace(trace)


def removed(how: str, what: str, at: int, lines: bool) -> None:
    """Remove a checkpoint; at a moment of it, it is swapped."""
    target, remove = REMOVALS[how]()
    victim = VICTIM / target.name
    (victim if target.is_dir() else VICTIM).mkdir(parents=True)
    (victim / "weights" if target.is_dir() else victim).write_text("victim")
    found = Moments(at, partial(SWAPS[what], target))
    (found.at_lines if lines else found.at_calls)()
    remove()
    sys.settrace(None)
    found._left = 0


def _is_there(folder: Path) -> bool:
    """Say whether the victim is somewhere: where it was, or where its owner has put it."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return any(path.read_bytes() == b"victim" for path in files)


def swapped(folder: Path, share: float, rng: random.Random) -> Result:
    """Each swap, at each call of the file system, and at every tenth line of ours."""
    result = Result()
    with forks(folder, "tests.faults.swaps") as starting:
        for how, what, lines in product(REMOVALS, SWAPS, (False, True)):
            for at in moments(share / 10 if lines else min(1.0, 2 * share)):
                with Place(folder / "place") as place:
                    given = {"how": how, "what": what, "at": at, "lines": lines}
                    answer = starting.start(place, WORK, given=given)
                    reached = (place.folder / SWAPPED).exists()
                    with result.trial(f"{how}, {what}, {'line' if lines else 'call'} {at}"):
                        assert answer["code"] == 0, place.raised()
                        assert _is_there(place.work)
                if not reached:
                    break
            result.count(how, at)
    return result


def raced(folder: Path, share: float, rng: random.Random) -> Result:
    """Another process swaps at a random instant while this one prunes."""
    result = Result()
    ours, theirs = Pipe()
    # Forked, as it begins at once; it has no thread and no database.
    other = get_context("fork").Process(target=_swap_when_told, args=(theirs,), daemon=True)
    other.start()
    for number in range(share_of(10_000, share)):
        what, is_folder = list(SWAPS)[number % len(SWAPS)], number % 8 >= len(SWAPS)
        place = folder / "place"
        target = _made(place / "ckpt/0", "x", is_folder)
        _made(place / VICTIM / "0", "victim", is_folder)
        file = inspect_path(target)
        assert file is not None
        first, last = (Checkpoint(id, target, file.bytes, file.sha256) for id in ("first", "last"))
        ours.send((str(place), what, rng.randrange(_LONGEST_WAIT)))
        deleted, _ = prune([first], [first, last], lambda entry: None)
        ours.recv()
        with result.trial(f"{what}, round {number}"):
            assert _is_there(place)
        result.count("deleted before" if deleted else "swapped before")
        shutil.rmtree(place)
    ours.send(None)
    other.join()
    return result


_LONGEST_WAIT = 1_500_000
"""Nanoseconds: about as long as a prune takes."""


def _made(path: Path, text: str, is_folder: bool) -> Path:
    file = path / "weights" if is_folder else path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return path


def _swap_when_told(told: Connection) -> None:
    while (order := told.recv()) is not None:
        place, what, wait = order
        os.chdir(place)
        until = time.perf_counter_ns() + wait
        while time.perf_counter_ns() < until:
            pass
        with suppress(OSError):
            SWAPS[what](Path("ckpt/0"))
        os.chdir("/")
        told.send(True)


FAMILIES = [
    Family(
        "S10",
        "a folder or a file is swapped for another one or a link, at each moment of a prune, of clearing the store "
        "and of deleting a run",
        "5, 10",
        None,
        0.06,
        swapped,
        minutes=6.0,
    ),
    Family(
        "S12",
        "another process swaps a file or a folder at a random instant of a prune",
        "5, 10",
        10_000,
        0.01,
        raced,
        minutes=1.0,
    ),
]
