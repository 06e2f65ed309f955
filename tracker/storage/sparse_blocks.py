"""Blocks that series with few points share: what is effective of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from sqlalchemy import Connection, and_, select

from tracker.models import CLOCK, SPARSE_BLOCK
from tracker.series.codec import decode_steps
from tracker.series.sparse import SeriesPoints, decode_shared, points_of, superseded_in
from tracker.storage.effective_blocks import Cuts


def live_points(
    connection: Connection, run: str, series: Collection[int], cuts: Cuts
) -> Iterator[tuple[tuple[int, int], SeriesPoints]]:
    """Yield the effective points of series in the sparse blocks of their run, by attempt and number, in this order.

    Damaged blocks are left out.
    """
    wanted = np.array(sorted(series), np.int64)
    same = (CLOCK.c[name] == SPARSE_BLOCK.c[name] for name in ("run_id", "attempt", "number"))
    rows = connection.execute(
        select(SPARSE_BLOCK, CLOCK.c.payload.label("clock"))
        .outerjoin(CLOCK, and_(*same))
        .where(SPARSE_BLOCK.c.run_id == run)
        .order_by(SPARSE_BLOCK.c.attempt, SPARSE_BLOCK.c.number)
    )
    for row in rows:
        try:
            shared = decode_shared(row.members, row.payload)
            points = points_of(
                shared.only(np.isin(shared.series, wanted)), decode_steps(row.clock or b"")
            )
        except ValueError:
            continue
        superseded = superseded_in(points.series, points.steps, row.attempt, cuts)
        yield (row.attempt, row.number), points if superseded is None else points.at(~superseded)
