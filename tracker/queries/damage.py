"""Which epochs are not as they were recorded, by their checksums."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter

from sqlalchemy import Connection, select

from tracker.models import EPOCH, METRIC
from tracker.storage.checksums import is_intact
from tracker.storage.chunks import in_chunks


def damaged_epochs(connection: Connection) -> list[tuple[str, int]]:
    """Return the damaged epochs of all runs, superseded ones as well: id of the run, number of the epoch."""
    statement = (
        select(EPOCH, METRIC.c.name, METRIC.c.value, METRIC.c.value_kind)
        .join_from(EPOCH, METRIC, EPOCH.c.id == METRIC.c.epoch_id, isouter=True)
        .where(EPOCH.c.checksum.is_not(None))
        .order_by(EPOCH.c.id)
    )
    damaged = []
    rows = in_chunks(connection, statement, None, None)
    for _, group in groupby(rows, attrgetter("id")):
        metrics = list(group)
        epoch = metrics[0]
        # An epoch without metrics is one row of the outer join.
        recorded = [
            (one.name, one.value, one.value_kind) for one in metrics if one.name is not None
        ]
        if not is_intact(epoch, recorded):
            damaged.append((epoch.run_id, epoch.epoch))
    return damaged
