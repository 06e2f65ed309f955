"""A family of faults: how often it is tried, what it proves, and what was seen."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


@dataclass
class Result:
    """What trying a family has shown.

    Attributes:
        tried: how often a fault hit.
        violations: what did not hold, one line each.
        facts: what else was counted or measured, for the report.
        seconds: how long that took.
    """

    tried: int = 0
    violations: list[str] = field(default_factory=list)
    facts: dict[str, float | int | str] = field(default_factory=dict)
    seconds: float = 0.0

    @contextmanager
    def trial(self, label: str) -> Iterator[None]:
        """Count a trial; what fails in the block is a violation."""
        self.tried += 1
        try:
            yield
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            text = str(error).splitlines()[0] if str(error) else frame.line
            self.violations.append(f"{label}: {type(error).__name__}: {text}")

    def count(self, fact: str, more: int = 1) -> None:
        """Add to a fact."""
        self.facts[fact] = int(self.facts.get(fact, 0)) + more


class Load(Enum):
    """What a family asks of the machine."""

    WAITING = "waits for servers, disks and locks, and measures how long calls take"
    BUSY = "takes a processor"
    ALONE = "measures what depends on everything else that runs"


@dataclass(frozen=True)
class Family:
    """Faults of one kind.

    Attributes:
        id: as in the list of faults.
        title: what is done.
        promise: what the figure proves.
        full: trials of a full run; None for every call.
        sample: the share that the test suite takes.
        run: tries it in an empty folder, that often; returns what it saw.
        minutes: about how long a full run takes on two processors.
        load: what may run beside it.
    """

    id: str
    title: str
    promise: str
    full: int | None
    sample: float
    run: Callable[[Path, float, random.Random], Result]
    minutes: float = 1.0
    load: Load = Load.BUSY


def share_of(full: int, share: float) -> int:
    """Return how many trials a share is, at least one."""
    return max(1, round(full * share))


def moments(share: float) -> Iterator[int]:
    """Yield call numbers for ever, from 1: each one, or every n-th where only a share of them is tried."""
    step = max(1, round(1 / share))
    at = 1
    while True:
        yield at
        at += step
