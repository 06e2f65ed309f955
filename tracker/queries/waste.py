"""Epochs and seconds spent after the best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from tracker.database import Reader
from tracker.queries.listing import Listing, columns, in_chunks
from tracker.queries.runs import Order, overview
from tracker.tables import EPOCH

COLUMNS = columns(
    "run. experiment. monitor. best best_epoch# epochs# epochs_after# seconds seconds_after share"
)
BY_EXPERIMENT = columns("experiment. runs# epochs# epochs_after# seconds seconds_after share")


def waste(
    reader: Reader,
    where: str | None = None,
    order_by: Order = None,
    limit: int | None = None,
    ids: Sequence[str] | None = None,
) -> Listing:
    """Return, a row a run, what came after its best epoch; ``share`` is that of its seconds, 0…1.

    Runs without a best epoch are left out. Without ``order_by`` the most wasteful run comes first.
    """
    listing = overview(reader, where, order_by, limit, ids)
    rows = [dict(zip(listing.names, row, strict=True)) for row in listing.rows]
    known = [row for row in rows if row["best_epoch"] is not None]
    if not known:
        return Listing(COLUMNS)
    later = _later(reader, {row["id"]: row["best_epoch"] for row in known})
    found = []
    for row in known:
        epochs, seconds, total = later.get(row["id"], (0, 0.0, 0.0))
        found.append(
            (row["name"], row["experiment"], row["monitor"], row["best"], row["best_epoch"],
             row["epochs"], epochs, total, seconds, seconds / total if total else 0.0)
        )  # fmt: skip
    if order_by is None:
        found.sort(key=lambda one: -one[8])
    return Listing(COLUMNS, list(found))


def by_experiment(listing: Listing, limit: int | None = None) -> Listing:
    """Return the same, a row an experiment, the ``limit`` most wasteful ones."""
    groups: dict[str, list[Any]] = {}
    for row in listing.dicts():
        sums = groups.setdefault(row["experiment"], [0, 0, 0, 0.0, 0.0])
        for place, value in enumerate(
            (1, row["epochs"], row["epochs_after"], row["seconds"], row["seconds_after"])
        ):
            sums[place] += value
    ranked = sorted(groups.items(), key=lambda item: -item[1][4])
    rows = [(name, *sums, sums[4] / sums[3] if sums[3] else 0.0) for name, sums in ranked]
    return Listing(BY_EXPERIMENT, rows[:limit])


def _later(reader: Reader, best: dict[str, int]) -> dict[str, tuple[int, float, float]]:
    """Return, for each run, epochs and seconds after its best epoch, and the seconds of all."""
    statement = select(EPOCH.c.run_id, EPOCH.c.epoch, func.sum(EPOCH.c.seconds)).where(
        EPOCH.c.superseded.is_(False)
    )
    statement = statement.group_by(EPOCH.c.run_id, EPOCH.c.epoch)
    found: dict[str, tuple[int, float, float]] = {}
    for run, epoch, seconds in in_chunks(reader.connection, statement, EPOCH.c.run_id, list(best)):
        count, after, total = found.get(run, (0, 0.0, 0.0))
        is_after = epoch > best[run]
        found[run] = (count + is_after, after + seconds * is_after, total + seconds)
    return found
