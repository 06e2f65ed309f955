"""Which run a Lightning checkpoint belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracker import Run

KEY = "local_tracker"
"""Where in a Lightning checkpoint the run stands; its own keys are others."""


def name_run(checkpoint: dict[str, Any], run: Run) -> None:
    """Write the run's id into a checkpoint that is about to be saved."""
    if run.recording:
        checkpoint[KEY] = {"run": run.id}


def run_of(checkpoint: Mapping[str, Any]) -> str | None:
    """Return the id of the run that saved a checkpoint; None where it does not say."""
    named = checkpoint.get(KEY)
    run = named.get("run") if isinstance(named, Mapping) else None
    return run if isinstance(run, str) else None
