"""Families that are tried beside each other, each in a process and a folder of its own."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

from tests.faults.families import FAMILIES
from tests.faults.family import Family, Load, Result

MOST_SHOWN = 10
NICE = 10
"""Of families that take a processor, so that those that measure times come first."""
WAITING_PER_JOB = 3
"""Families that wait, tried at once for each processor."""
SPARE = 1
"""Busy families beyond the number of processors: now and then each waits for a lock or a child."""
GARBAGE = 50_000
"""New objects between two collections: with Python's 700, they take a tenth of the time of a trial."""
MEMORY = Path("/dev/shm")
"""A disk in memory: what only meets kills and errors need not wait for a real one."""


class Progress:
    """Says what goes on, what was seen, and how much time is left."""

    def __init__(self, families: Iterable[Family], share: float, jobs: int) -> None:
        self._left = list(families)
        self._all = len(self._left)
        self._share, self._jobs = share, jobs
        self._begun = time.monotonic()
        self._expected = self._minutes_left()

    def begins(self, family: Family) -> None:
        """Say that a family is tried from now on."""
        _say(f"      {family.id} begins: {family.title}")

    def ends(self, family: Family, result: Result) -> None:
        """Say what was seen."""
        self._left.remove(family)
        passed = (time.monotonic() - self._begun) / 60
        done = self._expected - self._minutes_left()
        left = self._minutes_left() * (passed / done if done > 0 else 1.0)
        facts = "; ".join(f"{name}: {value}" for name, value in result.facts.items())
        shown = result.violations[:MOST_SHOWN]
        if (more := len(result.violations) - MOST_SHOWN) > 0:
            shown.append(f"and {more} more")
        _say(
            f"{self._all - len(self._left):2} of {self._all}, {passed:.0f} min, about {left:.0f} left  {family.id}: "
            f"{result.tried} tried, {len(result.violations)} violations, {result.seconds:.0f} s  {facts}",
            *(f"      {violation}" for violation in shown),
        )

    def _minutes_left(self) -> float:
        """Return how long the others take, by what is known of them."""
        took = dict.fromkeys(Load, 0.0)
        for load in Load:
            minutes = [family.minutes * self._share for family in self._left if family.load == load]
            took[load] = max([sum(minutes) / at_once(load, self._jobs), *minutes], default=0.0)
        return max(took[Load.WAITING], took[Load.BUSY]) + took[Load.ALONE]


def _say(*lines: str) -> None:
    """Print lines at once: other threads print as well."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def at_once(load: Load, jobs: int) -> int:
    """Return how many families of a load are tried beside each other."""
    return {Load.WAITING: WAITING_PER_JOB * jobs, Load.BUSY: jobs + SPARE, Load.ALONE: 1}[load]


def try_all(
    families: Sequence[Family], *, share: float, seed: int, jobs: int
) -> dict[Family, Result]:
    """Try families, those of one load beside each other, the longest ones first.

    What is tried does not depend on ``jobs``: each has a process, a folder and a seed of its own; the times that are
    measured do. Families that measure calls have priority over busy ones, which are niced; those that depend on
    everything else run last, one at a time.
    """
    progress = Progress(families, share, jobs)
    results: dict[Family, Result] = {}

    def one(family: Family) -> tuple[Family, Result]:
        progress.begins(family)
        return family, in_a_process(family, share, seed)

    for loads in ((Load.WAITING, Load.BUSY), (Load.ALONE,)):
        with ExitStack() as pools:
            trials = []
            for load in loads:
                threads = pools.enter_context(ThreadPoolExecutor(at_once(load, jobs)))
                chosen = [family for family in families if family.load == load]
                chosen.sort(key=lambda family: -family.minutes)
                trials += [threads.submit(one, family) for family in chosen]
            for done in as_completed(trials):
                family, result = done.result()
                results[family] = result
                progress.ends(family, result)
    return {family: results[family] for family in families}


def in_a_process(family: Family, share: float, seed: int) -> Result:
    """Try a family in a process that has loaded everything already; one that breaks off is a violation."""
    ours, theirs = _processes.Pipe()
    process = _processes.Process(target=_try, args=(family.id, share, seed, theirs))
    begun = time.monotonic()
    process.start()
    theirs.close()
    try:
        result: Result = ours.recv()
        process.join()
    except EOFError:
        process.join()
        result = Result(violations=[f"its process has ended with {process.exitcode}"])
    result.seconds = time.monotonic() - begun
    return result


_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


def _try(name: str, share: float, seed: int, answer: Connection) -> None:
    logging.disable(logging.CRITICAL)
    gc.freeze()
    gc.set_threshold(GARBAGE)
    [family] = [one for one in FAMILIES if one.id == name]
    busy = family.load == Load.BUSY
    if busy:
        os.nice(NICE)
    disk = MEMORY if busy and MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix=f"faults-{name}-", dir=disk) as folder:
        answer.send(tried(family.run, Path(folder), share, seed))


def tried(
    run: Callable[[Path, float, random.Random], Result], folder: Path, share: float, seed: int
) -> Result:
    """Try it; an error outside a trial is a violation as well."""
    result = Result()
    with result.trial("outside a trial"):
        return run(folder, share, random.Random(seed))
    return result
