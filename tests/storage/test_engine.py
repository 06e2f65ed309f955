"""Engines: what a connection is opened with, and what a process keeps of it."""

from __future__ import annotations

from pathlib import Path

import tracker
from tracker.storage.engine import engine
from tracker.storage.location import locate


def test_an_engine_is_kept_with_what_it_has_compiled(folder: Path) -> None:
    location = locate()
    tracker.start_run().finish()
    kept = engine(location, "rw", 10)
    compiled = len(kept._compiled_cache or ())
    tracker.start_run().finish()
    assert engine(locate(), "rw", 10) is kept
    assert len(kept._compiled_cache or ()) == compiled > 0
    assert engine(location, "ro", 10) is not kept
