"""The names that a database knows: for completion, and for the columns of an export."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from tracker.filters.fields import CheckpointFields, DecisionFields, EpochFields, Fields
from tracker.models import OF_STEPS, POLICY, RUN, SUMMARY
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader

_FIELDS: dict[str, type[Fields]] = {
    "epochs": EpochFields,
    "checkpoints": CheckpointFields,
    "decisions": DecisionFields,
}


def metric_names(reader: Reader, ids: Sequence[str] | None) -> list[str]:
    """Return the names of the runs' metrics of epochs, sorted."""
    if reader.empty:
        return []
    statement = select(SUMMARY.c.name).where(~OF_STEPS).distinct()
    rows = in_chunks(reader.connection, statement, SUMMARY.c.run_id, ids)
    return sorted({row.name for row in rows})


def sort_keys(reader: Reader, what: str) -> list[str]:
    """Return what a listing of "runs", "epochs", "checkpoints" or "decisions" can be sorted by; for completion."""
    if reader.empty:
        return []
    return _FIELDS.get(what, Fields)(reader.connection, RUN.c.status).names()


def policy_kinds(reader: Reader) -> list[str]:
    """Return the class names of recorded callbacks, sorted; for completion."""
    if reader.empty:
        return []
    kinds = select(POLICY.c.kind).distinct().order_by(POLICY.c.kind)
    return list(reader.connection.execute(kinds).scalars())
