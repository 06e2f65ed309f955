"""A folder or a file is swapped for another one at any moment of a prune: nobody else's file is deleted."""

from __future__ import annotations

import os
import random
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import tracker
from tests.faults.family import Family, Result, moments
from tests.faults.processes import Place, forks
from tests.helpers import ROOT

WORK = "tests.faults.swaps:prune"
OURS = str(ROOT / "tracker")
SWAPPED, CALLS = (
    "swapped",
    ("open", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "os.rename", "os.link"),
)
"""The file that says that the moment came, and the calls of the file system that Python tells of."""


def _folder(target: Path) -> None:
    """The folder of the checkpoints is a link to the victim's."""
    target.parent.rename("away")
    Path("ckpt").symlink_to("victim")


def _hard_link(target: Path) -> None:
    """The checkpoint is a second name of the victim."""
    target.rename("away")
    os.link(Path("victim", target.name), target)


def _link(target: Path) -> None:
    """The checkpoint is a link to the victim."""
    target.rename("away")
    target.symlink_to(Path("../victim", target.name))


def _file(target: Path) -> None:
    """The victim takes the name of the checkpoint."""
    Path("victim", target.name).replace(target)


SWAPS = {"folder": _folder, "file": _file, "hard link": _hard_link, "link": _link}


class Moments:
    """Counts the moments of a prune, and swaps at one of them: each line of ours, or each call of the file system."""

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


def prune(what: str, at: int, lines: bool) -> None:
    """Prune the first of two checkpoints; at a moment of it, it is swapped."""
    Path("victim").mkdir()
    Path("victim/0.pt").write_text("victim")
    with tracker.start_run("fault", "run", system_metrics=False) as run:
        made = [
            run.save_checkpoint(f"ckpt/{epoch}.pt", partial(Path.write_text, data="x"), epoch=epoch)
            for epoch in range(2)
        ]
        found = Moments(at, partial(SWAPS[what], made[0].path))
        (found.at_lines if lines else found.at_calls)()
        run.prune_checkpoints(made[:1])
        sys.settrace(None)
        found._left = 0


def _is_there(folder: Path) -> bool:
    """Say whether the victim is where it was, or where its owner has put it."""
    there = [folder / at / "0.pt" for at in ("victim", "ckpt")]
    return any(path.is_file() and path.read_text() == "victim" for path in there)


def swapped(folder: Path, share: float, rng: random.Random) -> Result:
    """Each swap, at each call of the file system, and at each line of ours."""
    result = Result()
    with forks(folder, "tests.faults.swaps") as starting:
        for lines in (False, True):
            for what in SWAPS:
                for at in moments(share if lines else 1.0):
                    with Place(folder / f"{lines}-{what}-{at}".replace(" ", "-")) as place:
                        given = {"what": what, "at": at, "lines": lines}
                        answer = starting.start(place, WORK, given=given)
                        reached = (place.folder / SWAPPED).exists()
                        with result.trial(f"{what}, {'line' if lines else 'call'} {at}"):
                            assert answer["code"] == 0, place.raised()
                            assert _is_there(place.work)
                    if not reached:
                        break
    return result


FAMILIES = [
    Family(
        "S10",
        "a folder or a file is swapped for a link, at each moment of a prune",
        "5, 11",
        None,
        0.006,
        swapped,
    )
]
