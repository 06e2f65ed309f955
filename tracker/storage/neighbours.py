"""Other databases in the same folder, which shares its spools among them: whose records are these?"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from tracker.storage.entries import Entry
from tracker.storage.location import Location
from tracker.storage.schema import open_at_rest
from tracker.storage.spool import origin_of


def belong_to_another(location: Location, attempt_id: str, entries: Iterable[Entry]) -> bool:
    """Say whether records were kept for another file in this folder, which has their attempt too.

    A copy has the attempts of its original, and must not take their records. Where the original is gone, such as
    after it was renamed, or cannot be read, they are for whoever has the attempt.
    """
    origin = origin_of(entries)
    if origin is None or location.path is None or origin["database"] == location.label():
        return False
    other = location.path.parent / origin["database"]
    try:
        return not other.samefile(location.path) and _has_attempt(other, attempt_id)
    except (OSError, ValueError):
        return False


def _has_attempt(path: Path, attempt_id: str) -> bool:
    try:
        with closing(open_at_rest(path)) as connection:
            found = connection.execute("SELECT 1 FROM attempt WHERE id = ?", (attempt_id,))
            return found.fetchone() is not None
    except sqlite3.Error:
        return False
