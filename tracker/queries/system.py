"""What was measured of the machine while runs trained."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import func, select

from tracker.errors import StoreError
from tracker.models import BLOCK, SERIES
from tracker.queries.points import points
from tracker.storage.database import Reader
from tracker.system_names import PREFIX, is_system


@dataclass(frozen=True)
class Measured:
    """One measurement of a run: how often it was taken, its mean, its highest and its last value."""

    samples: int
    mean: float
    max: float
    last: float


def measured(reader: Reader, run: str) -> dict[str, Measured]:
    """Return what was measured while a run trained, by name; of damaged blocks nothing."""
    of_run = select(SERIES.c.name).where(SERIES.c.run_id == run, SERIES.c.name.like(f"{PREFIX}%"))
    names = [
        name for name in reader.connection.scalars(of_run.order_by(SERIES.c.id)) if is_system(name)
    ]
    if not names:
        return {}
    try:
        found = points(reader, [run], names=names).columns
    except StoreError:
        return {}
    values: dict[str, list[float]] = {name: [] for name in names}
    for place, value in zip(found.name.tolist(), found.value.tolist(), strict=True):
        values[names[place]].append(value)
    return {
        name: Measured(len(own), math.fsum(own) / len(own), max(own), own[-1])
        for name, own in values.items()
        if own
    }


def latest(reader: Reader, run: str, attempt: int) -> dict[str, float]:
    """Return the last value of what an attempt measures, by name; of each only its newest block is read."""
    from tracker.series.codec import decode_values

    other = BLOCK.alias()
    newest = (
        select(func.max(other.c.number))
        .where(other.c.series_id == SERIES.c.id, other.c.attempt == attempt)
        .scalar_subquery()
    )
    statement = (
        select(SERIES.c.name, BLOCK.c.payload)
        .join_from(SERIES, BLOCK, BLOCK.c.series_id == SERIES.c.id)
        .where(SERIES.c.run_id == run, SERIES.c.name.like(f"{PREFIX}%"))
        .where(BLOCK.c.attempt == attempt, BLOCK.c.number == newest)
    )
    found: dict[str, float] = {}
    for row in reader.connection.execute(statement):
        # A damaged block says nothing.
        with suppress(ValueError):
            _, values = decode_values(row.payload)
            found[row.name] = float(values[-1])
    return found


def cost(price_per_hour: float | None, seconds: float) -> float | None:
    """Return what some seconds of a machine cost; None where nobody said what an hour costs."""
    return None if price_per_hour is None else price_per_hour * seconds / 3600
