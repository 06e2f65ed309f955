"""What every test starts from: an empty folder, no database of the developer's, one process of many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder; runs that a test left open are closed afterwards."""
    monkeypatch.chdir(tmp_path)
    for name in ("TRACKER_DATABASE_URL", "TRACKER_MODE", "RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    from tracker.lifecycle import active_run

    while (run := active_run()) is not None:
        run.finish()
