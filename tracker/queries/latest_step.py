"""How far a run without epochs has come: what following one costs, however long it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select

from tracker.models import OF_STEPS, SUMMARY
from tracker.storage.database import Reader
from tracker.values import join


@dataclass(frozen=True)
class LatestStep:
    """The highest of the steps that metrics were logged at last, and the last value of each metric."""

    step: int
    metrics: dict[str, float] = field(default_factory=dict)


def latest_step(reader: Reader, run: str) -> LatestStep | None:
    """Return the latest step of a run's step metrics; None where it has none that no epoch has."""
    if reader.empty:
        return None
    statement = select(SUMMARY).where(SUMMARY.c.run_id == run, OF_STEPS).order_by(SUMMARY.c.name)
    rows = reader.connection.execute(statement).all()
    values = {row.name: join(row.last, row.last_kind) for row in rows}
    known = {name: value for name, value in values.items() if value is not None}
    return LatestStep(max(row.last_step for row in rows), known) if rows else None
