"""Which names there are."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from tracker.database import Reader
from tracker.queries.listing import in_chunks
from tracker.tables import SUMMARY


def metric_names(reader: Reader, ids: Sequence[str] | None) -> list[str]:
    """Return the names of the runs' metrics of epochs, sorted."""
    if reader.empty:
        return []
    statement = select(SUMMARY.c.name).distinct()
    found = in_chunks(reader.connection, statement, SUMMARY.c.run_id, ids)
    return sorted({name for (name,) in found})
