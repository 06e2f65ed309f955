"""All that most readers ask for, in one import; a command that must start fast imports what it needs alone.

Each query takes the `tracker.storage.database.Reader` of an open database; one that does not exist yet gives
listings without rows.
"""

from __future__ import annotations

from tracker.queries.checkpoints import checkpoints
from tracker.queries.decisions import decisions
from tracker.queries.epochs import epochs, history
from tracker.queries.points import points
from tracker.queries.resolve import find_run, find_runs, labels, names_like, newest_run, runs_or_all
from tracker.queries.result import Column, Listing
from tracker.queries.runs import overview, runs

__all__ = [
    "Column", "Listing", "checkpoints", "decisions", "epochs", "find_run", "find_runs", "history",
    "labels", "names_like", "newest_run", "overview", "points", "runs",
    "runs_or_all",
]  # fmt: skip
