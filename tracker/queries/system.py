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

_ENERGY = "energy_joules"


@dataclass(frozen=True)
class Measured:
    """One measurement of a run: how often it was taken, its mean, its highest and its last value."""

    samples: int
    mean: float
    max: float
    last: float


@dataclass(frozen=True)
class System:
    """What was measured while a run trained.

    Attributes:
        measured: by name.
        energy_joules: what its cards took, in all attempts together; None where no card counts that.
    """

    measured: dict[str, Measured]
    energy_joules: float | None = None


def system_of(reader: Reader, run: str) -> System:
    """Return what was measured while a run trained; of damaged blocks nothing."""
    of_run = select(SERIES.c.name).where(SERIES.c.run_id == run, SERIES.c.name.like(f"{PREFIX}%"))
    names = [
        name for name in reader.connection.scalars(of_run.order_by(SERIES.c.id)) if is_system(name)
    ]
    if not names:
        return System({})
    try:
        found = points(reader, [run], names=names).columns
    except StoreError:
        return System({})
    measured: dict[str, Measured] = {}
    energies: list[float] = []
    for place, name in enumerate(names):
        own = found.at(found.name == place)
        values = own.value.tolist()
        if not values:
            continue
        mean = math.fsum(values) / len(values)
        measured[name] = Measured(len(values), mean, max(values), values[-1])
        if name.endswith(_ENERGY):
            # Each attempt counts from nought.
            energies += dict(zip(own.attempt.tolist(), values, strict=True)).values()
    return System(measured, math.fsum(energies) if energies else None)


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
