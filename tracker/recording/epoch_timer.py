"""When epochs began and how long they took."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from tracker import values
from tracker.clock import now
from tracker.errors import BadValue


def epoch_number(epoch: Any) -> int:
    """Return a 0-based epoch as an int, or raise BadValue."""
    return values.whole(epoch, "epoch", least=0, most=2**31 - 1)


@dataclass
class EpochClock:
    """Times epochs that are logged one after the other; ``last`` is the highest number so far."""

    last: int | None = None
    _begun: int = field(default_factory=now)
    # The time of day may be set while an epoch runs.
    _ticks: float = field(default_factory=time.monotonic)
    _newest: tuple[int, int, float] | None = None

    def take(self, number: int, seconds: Any) -> tuple[int, float]:
        """Return when an epoch began (microseconds) and its seconds.

        Args:
            number: of the epoch that has just ended; the newest one, given again, keeps its times, and an earlier one
                leaves it open when the next one begins.
            seconds: how long it took, where the caller knows; never below 0 in the result.
        """
        given = None if seconds is None else _duration(seconds)
        if self._newest is not None and self._newest[0] == number:
            _, began, took = self._newest
        else:
            ticks = time.monotonic()
            began, took = self._begun, ticks - self._ticks
            if self.last is not None and number < self.last:
                return began, took if given is None else given
            self._begun, self._ticks = now(), ticks
        if given is not None:
            took = given
        self._newest = (number, began, took)
        self.last = number
        return began, took


def _duration(seconds: Any) -> float:
    duration = values.number(seconds, "seconds")
    if not math.isfinite(duration):
        raise BadValue(f"seconds is {duration}: it must be how long the epoch took.")
    return max(0.0, duration)
