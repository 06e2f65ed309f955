"""Time as it is stored: whole microseconds since 1970-01-01 UTC."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime


def now() -> int:
    """Return the time, in microseconds since the epoch."""
    return time.time_ns() // 1000


def shown(microseconds: int) -> str:
    """Write a stored time for people, in their time zone and with its name: ``2026-03-01 13:00:00 CET``."""
    time_then = datetime.fromtimestamp(microseconds / 1e6, UTC).astimezone()
    return time_then.strftime("%Y-%m-%d %H:%M:%S %Z")


class RisingClock:
    """A clock that orders what it stamps, from any thread, also where the system's clock is set back."""

    def __init__(self) -> None:
        self._newest = 0
        self._renew_lock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def now(self) -> int:
        """Return the time, or the next microsecond where that is not later than what was returned before."""
        with self._lock:
            self._newest = max(now(), self._newest + 1)
            return self._newest
