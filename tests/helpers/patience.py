"""Waiting for a slow disk or server, where something else than the limits of a call is tried."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

LIMITS = ("_COMMIT_SECONDS", "_BRIEF_SECONDS", "_SPOOL_SECONDS", "_LAST_SECONDS")
LONG = 120.0


def patient() -> AbstractContextManager[Any]:
    """Have calls wait until what they record is in the database, so that it can be asked for at once."""
    from tracker.recording import recorder

    return patch.multiple(recorder, **dict.fromkeys(LIMITS, LONG))
