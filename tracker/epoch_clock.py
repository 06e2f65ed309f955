"""When epochs began and how long they took."""

from __future__ import annotations

from tracker.clock import now


class EpochClock:
    """Times epochs that are logged one after the other; ``last`` is the highest number so far."""

    def __init__(self) -> None:
        self.last: int | None = None
        self._begun = now()
        self._newest: tuple[int, int, float] | None = None

    def take(self, number: int, seconds: float | None) -> tuple[int, float]:
        """Return when an epoch began (microseconds) and its seconds.

        Args:
            number: of the epoch that has just ended; once more the newest one keeps its times.
            seconds: how long it took, where the caller knows; never below 0 in the result.
        """
        moment = now()
        if self._newest is not None and self._newest[0] == number:
            _, began, took = self._newest
        else:
            began, took = self._begun, max(0.0, (moment - self._begun) / 1e6)
            self._begun = moment
        if seconds is not None:
            took = max(0.0, float(seconds))
        self._newest = (number, began, took)
        self.last = number if self.last is None else max(number, self.last)
        return began, took
