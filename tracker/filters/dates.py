"""Points in time as people write them in a filter."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_AGO = re.compile(r"(\d{1,6})\s*([a-z]+)\s+ago", re.IGNORECASE)
_BEFORE = re.compile(r"(now|today|yesterday)(?:\s*-\s*(\d{1,6})\s*([a-z]+))?", re.IGNORECASE)
_UNITS = {
    unit: f"{word}s"
    for word, short in {
        "second": "s sec", "minute": "min", "hour": "h", "day": "d", "week": "w",
    }.items()
    for unit in (word, f"{word}s", *short.split())
}  # fmt: skip
FORMS = "'2026-03-01', '2026-03-01 12:30', today, yesterday, today - 7d, now - 12h or '3 days ago'"


def moment(text: str, now: datetime | None = None) -> int | None:
    """Return microseconds since 1970-01-01 UTC, or None for text that is not a point in time.

    Without an offset (``+01:00``, ``Z``) a time is the local one.
    """
    now = (now or datetime.now()).astimezone()
    text = text.strip()
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    anchors = {"now": now, "today": day, "yesterday": day - timedelta(days=1)}
    try:
        if ago := _AGO.fullmatch(text):
            return _microseconds(now - _distance(ago.group(1), ago.group(2)))
        if before := _BEFORE.fullmatch(text):
            anchor, count, unit = before.groups()
            distance = timedelta() if count is None else _distance(count, unit)
            return _microseconds(anchors[anchor.lower()] - distance)
        return _microseconds(datetime.fromisoformat(text).astimezone())
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def _distance(count: str, unit: str) -> timedelta:
    return timedelta(**{_UNITS[unit.lower()]: int(count)})


def _microseconds(when: datetime) -> int:
    return int(when.timestamp()) * 1_000_000 + when.microsecond
