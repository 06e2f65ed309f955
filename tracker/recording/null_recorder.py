"""The writer of a run that records nothing: switched off, another rank, or a forked child."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tracker.storage.journal import Entry


class Silence:
    """Has the methods of `tracker.recording.recorder.Recorder` and keeps nothing."""

    recording = False
    attempt_id = ""

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict  # for callbacks, which go on writing their own files

    def record(self, *entries: Entry) -> None:
        """Keep nothing."""

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Keep nothing."""

    def stored_path(self, path: str | os.PathLike[str]) -> str:
        """Return the path as it is."""
        return os.fspath(path)

    def next_attempt(self, number: int) -> None:
        """Nothing to begin."""

    def close(self, *entries: Entry) -> None:
        """Nothing to close."""

    def forget(self) -> None:
        """Nothing to forget."""
