"""How much a database holds."""

from __future__ import annotations

from sqlalchemy import func, select

from tracker.models import BLOCK, CHECKPOINT, DECISION, EPOCH, RUN
from tracker.queries.status import dead_runs
from tracker.storage.database import Reader


def totals(reader: Reader) -> dict[str, int]:
    """Count runs, those running now, epochs, points of step metrics, checkpoints and decisions."""
    connection = reader.connection

    def count(table: object, *tests: object) -> int:
        statement = select(func.count()).select_from(table).where(*tests)  # type: ignore[arg-type]
        return int(connection.execute(statement).scalar_one())

    points = connection.execute(select(func.coalesce(func.sum(BLOCK.c.points), 0))).scalar_one()
    return {
        "runs": count(RUN),
        "running": count(RUN, RUN.c.status == "running") - len(dead_runs(connection)),
        "epochs": count(EPOCH),
        "step_metrics": int(points),
        "checkpoints": count(CHECKPOINT),
        "decisions": count(DECISION),
    }
