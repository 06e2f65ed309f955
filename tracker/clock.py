"""Time as it is stored: whole microseconds since 1970-01-01 UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> int:
    """Return the time, in microseconds since the epoch."""
    return time.time_ns() // 1000


def shown(microseconds: int) -> str:
    """Write a stored time for people: ``2026-03-01 12:00:00 UTC``."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
