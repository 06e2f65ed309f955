"""How much a database holds."""

from __future__ import annotations

from sqlalchemy import Table, func, select

from tracker.models import BLOCK, CHECKPOINT, DECISION, EPOCH, RUN, SPARSE_BLOCK
from tracker.queries.status import dead_runs
from tracker.storage.database import Reader


def run_counts(reader: Reader) -> tuple[int, int]:
    """Count runs, and those running now."""
    counted = select(func.count()).select_from(RUN)
    runs = reader.connection.execute(counted).scalar_one()
    running = reader.connection.execute(counted.where(RUN.c.status == "running")).scalar_one()
    return int(runs), int(running) - len(dead_runs(reader.connection))


def totals(reader: Reader) -> dict[str, int]:
    """Count runs, those running now, epochs, points of step metrics, checkpoints and decisions."""
    connection = reader.connection

    def count(table: object) -> int:
        statement = select(func.count()).select_from(table)  # type: ignore[arg-type]
        return int(connection.execute(statement).scalar_one())

    def points(table: Table) -> int:
        total = func.coalesce(func.sum(table.c.points), 0)
        return int(connection.execute(select(total).where(table.c.number >= 0)).scalar_one())

    runs, running = run_counts(reader)
    return {
        "runs": runs,
        "running": running,
        "epochs": count(EPOCH),
        "step_metrics": points(BLOCK) + points(SPARSE_BLOCK),
        "checkpoints": count(CHECKPOINT),
        "decisions": count(DECISION),
    }
