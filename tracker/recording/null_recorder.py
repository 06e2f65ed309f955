"""The writer of a run that records nothing: switched off, another rank, or a forked child."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Select

from tracker.recording.writer import LogCall
from tracker.series.buffer import check_call
from tracker.storage.database import Reader
from tracker.storage.entries import Entry
from tracker.storage.location import Location

T = TypeVar("T")


class NullRecorder:
    """Refuses what `tracker.recording.recorder.Recorder` refuses, and keeps nothing."""

    recording = False
    location: Location | None = None
    attempt_id = ""

    def __init__(self, *, strict: bool = False) -> None:
        # For callbacks, which write their own files all the same.
        self.strict = strict
        self.log: LogCall = check_call

    def record(self, *entries: Entry) -> None:
        """Keep nothing."""

    def flush(self, seconds: float | None = None) -> None:
        """Do nothing: nothing is pending."""

    def query(self, ask: Callable[[Reader], T], otherwise: T) -> T:
        """Return ``otherwise``: nothing is recorded."""
        return otherwise

    def rows(self, statement: Select[Any]) -> list[Any]:
        """Return no rows: nothing is recorded."""
        return []

    def amend(self, change: Callable[[Connection, Location], object]) -> None:
        """Change nothing."""

    def stored_path(self, path: str | os.PathLike[str]) -> str:
        """Return the path as it is."""
        return os.fspath(path)

    def next_attempt(self, number: int) -> None:
        """Do nothing: there is no attempt."""

    def close(self, *entries: Entry) -> None:
        """Do nothing: nothing is open."""

    def discard(self) -> bool:
        """Say that there is nothing to delete."""
        return False

    def forget(self) -> None:
        """Do nothing: nothing is held."""
