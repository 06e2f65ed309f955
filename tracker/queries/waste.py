"""Epochs and seconds spent after the best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import func, select

from tracker.errors import nearest
from tracker.filters import SortKey, parse_order, wrong
from tracker.models import EPOCH
from tracker.queries.listing import Column, Listing, columns
from tracker.queries.runs import Order, check_limit, overview
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader

COLUMNS = columns(
    "run. experiment. monitor. best best_epoch# epochs# epochs_after# seconds seconds_after share"
)
BY_EXPERIMENT = columns("experiment. runs# epochs# epochs_after# seconds seconds_after share")
_MOST_WASTEFUL = "-seconds_after"


def waste(
    reader: Reader,
    where: str | None = None,
    order_by: Order = None,
    limit: int | None = None,
    ids: Sequence[str] | None = None,
) -> Listing:
    """Return, a row a run, what came after its best epoch; ``share`` is that of its seconds, 0…1.

    Runs without a best epoch are left out. ``order_by`` names columns of this listing, or else what runs
    are sorted by; without it the most wasteful run comes first. ``limit`` cuts what is sorted so.
    """
    check_limit(limit)
    names = {column.name for column in COLUMNS}
    own = all(_name(key) in names for key in parse_order(order_by or _MOST_WASTEFUL))
    listing = overview(reader, where, None if own else order_by, None, ids)
    known = [row for row in listing.dicts() if row["best_epoch"] is not None]
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
    return Listing(COLUMNS, (_sorted(COLUMNS, found, order_by) if own else found)[:limit])


def by_experiment(listing: Listing, order_by: Order = None, limit: int | None = None) -> Listing:
    """Return the same, a row an experiment: sorted by columns of `BY_EXPERIMENT`, else the most wasteful first.

    Raises:
        WhereError: for a sort key that is no column; names those there are.
    """
    groups: dict[str, list[Any]] = {}
    for row in listing.dicts():
        sums = groups.setdefault(row["experiment"], [0, 0, 0, 0.0, 0.0])
        for place, value in enumerate(
            (1, row["epochs"], row["epochs_after"], row["seconds"], row["seconds_after"])
        ):
            sums[place] += value
    rows = [(name, *sums, sums[4] / sums[3] if sums[3] else 0.0) for name, sums in groups.items()]
    return Listing(BY_EXPERIMENT, _sorted(BY_EXPERIMENT, rows, order_by)[:limit])


def _name(key: SortKey) -> str:
    """Return the name of the column that a key may mean."""
    field = key.field
    return field.name if field.scope is None and field.function is None else key.text


def _sorted(
    listed: Sequence[Column], rows: list[tuple[Any, ...]], order_by: Order
) -> list[tuple[Any, ...]]:
    """Sort rows by their own columns, upwards unless a key says otherwise."""
    names = [column.name for column in listed]
    for key in reversed(parse_order(order_by or _MOST_WASTEFUL)):
        if _name(key) not in names:
            hint = nearest(_name(key), names, what="there are", most=len(names))
            raise wrong(key.text, key.field.at, f"There is no column {_name(key)!r}: {hint}")
        place = itemgetter(names.index(_name(key)))
        rows = sorted(rows, key=place, reverse=key.direction in ("reversed", "desc"))
    return rows


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
