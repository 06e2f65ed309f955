"""All rows of a run: whether it has any but the first, and their deletion."""

from __future__ import annotations

from sqlalchemy import Connection, exists, select, update
from sqlalchemy import delete as delete_from

from tracker.models import ATTEMPT, CHECKPOINT, DECISION, EPOCH, POLICY, RUN, SERIES
from tracker.system_names import PREFIX

_OF_TRAINING = (EPOCH, CHECKPOINT, DECISION, POLICY)


def is_empty(connection: Connection, run: str) -> bool:
    """Say whether nothing of a training was recorded in a run: params, tags and the machine do not count."""
    recorded = [exists().where(table.c.run_id == run) for table in _OF_TRAINING]
    logged = exists().where(SERIES.c.run_id == run, SERIES.c.name.not_like(f"{PREFIX}%"))
    child = exists().where(RUN.c.parent_id == run)
    return not any(connection.scalar(select(one)) for one in (*recorded, logged, child))


def delete(connection: Connection, run: str) -> list[str]:
    """Delete a run's rows; returns the ids of its attempts."""
    attempts = list(connection.scalars(select(ATTEMPT.c.id).where(ATTEMPT.c.run_id == run)))
    connection.execute(update(RUN).where(RUN.c.parent_id == run).values(parent_id=None))
    # These refer to one another; the rest is deleted by cascade.
    for table in (DECISION, CHECKPOINT, POLICY):
        connection.execute(delete_from(table).where(table.c.run_id == run))
    connection.execute(delete_from(RUN).where(RUN.c.id == run))
    return attempts
