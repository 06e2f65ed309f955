"""Engines: what a connection is opened with, and what a process keeps of it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from tracker.models import RUN
from tracker.storage.engine import engine
from tracker.storage.location import locate
from tracker.storage.prepare import writing


def test_an_engine_is_kept_with_what_it_has_compiled(folder: Path) -> None:
    location = locate()
    kept = engine(location, "rw", 10)
    for _ in range(2):
        with writing(location) as connection:
            connection.execute(select(RUN))
        assert engine(locate(), "rw", 10) is kept
        assert len(kept._compiled_cache or ()) == 1
    assert engine(location, "ro", 10) is not kept
