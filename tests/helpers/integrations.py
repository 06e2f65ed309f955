"""What the tests of the neighbours read back from the database."""

from __future__ import annotations

import json
from typing import Any

from sqlmodel import select

import tracker
from tracker.models import Attempt, Run


def run_named(name: str | None = None) -> dict[str, Any]:
    """Return the row of a run, by the keys of `tracker.runs`; of the only run, where no name is given."""
    rows = tracker.runs().to_dict("records")
    (row,) = [row for row in rows if name is None or row["name"] == name]
    return row


def captured(name: str | None = None) -> dict[str, Any]:
    """Return what was captured of a run, the newest attempt's part over that of earlier ones."""
    run = run_named(name)["id"]
    with tracker.session() as session:
        attempts = session.exec(
            select(Attempt).where(Attempt.run_id == run).order_by(Attempt.number)
        ).all()
    return {key: part for one in attempts for key, part in json.loads(one.captured).items()}


def children_of(name: str) -> set[str]:
    """Return the names of the runs that were started below a run."""
    run = run_named(name)["id"]
    with tracker.session() as session:
        return set(session.exec(select(Run.name).where(Run.parent_id == run)).all())


def points(name: str | None = None) -> dict[str, dict[int, float]]:
    """Return the step metrics of a run: by name, the value of each step; a step that repeats has its last one."""
    frame = tracker.metrics(run_named(name)["id"])
    found: dict[str, dict[int, float]] = {}
    for row in frame.to_dict("records"):
        found.setdefault(row["name"], {})[row["step"]] = row["value"]
    return found


def epochs(name: str | None = None) -> dict[str, list[float]]:
    """Return the metrics of a run's effective epochs: by name, one value per epoch."""
    frame = tracker.epochs(run_named(name)["id"])
    facts = {"run", "epoch", "attempt", "seconds", "started", "superseded", "learning_rate", "step"}
    return {column: frame[column].tolist() for column in frame if column not in facts}
