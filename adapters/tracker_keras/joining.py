"""Whose run it is: callbacks join the active run, and say which of their arguments come too late."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from tracker import Run


def hand_over(run: Run, start: Mapping[str, Any]) -> None:
    """Give a run that somebody else started what a `TrackerCallback` would have started one with."""
    if start.get("params"):
        run.log_params(start["params"])
    if start.get("tags"):
        run.set_tags(start["tags"])
    for name in ("experiment", "name", "database", "resume"):
        if start.get(name) not in (None, getattr(run, name, None)):
            warnings.warn(
                f"TrackerCallback({name}={start[name]!r}) is not used: run {run.name} is active, "
                f"and the callback joins it. Give {name} to tracker.start_run, or leave it out.",
                stacklevel=2,
            )
