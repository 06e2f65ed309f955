"""Points in time as people write them in a filter."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_AGO = re.compile(r"(\d{1,6})\s*(second|minute|hour|day|week)s?\s+ago", re.IGNORECASE)
FORMS = "'2026-03-01', '2026-03-01 12:30', 'today', 'yesterday' or '3 days ago'"


def moment(text: str, now: datetime | None = None) -> int | None:
    """Return microseconds since 1970-01-01 UTC, or None for text that is not a point in time.

    Without an offset (``+01:00``, ``Z``) a time is the local one.
    """
    now = (now or datetime.now()).astimezone()
    text = text.strip()
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if text.lower() in {"today", "yesterday"}:
        return _microseconds(day - timedelta(days=text.lower() == "yesterday"))
    try:
        if ago := _AGO.fullmatch(text):
            return _microseconds(now - timedelta(**{f"{ago.group(2).lower()}s": int(ago.group(1))}))
        return _microseconds(datetime.fromisoformat(text).astimezone())
    except (ValueError, OverflowError, OSError):
        return None


def _microseconds(when: datetime) -> int:
    return int(when.timestamp()) * 1_000_000 + when.microsecond
