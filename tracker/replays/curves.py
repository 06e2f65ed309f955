"""One metric of many runs, epoch by epoch: what a replay needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import and_, select

from tracker import values
from tracker.models import EPOCH, METRIC, OF_STEPS, SUMMARY
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader


@dataclass
class Curve:
    """The effective epochs of one run: ``points`` as (epoch, value or None), seconds and learning rates of each."""

    run: str
    points: list[tuple[int, float | None]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    rates: list[float | None] = field(default_factory=list)


def curves(reader: Reader, runs: Sequence[str], metric: str) -> dict[str, Curve]:
    """Return a metric of each run, in the order of epochs; None where an epoch has none."""
    by_run = {run: Curve(run) for run in runs}
    statement = (
        select(
            EPOCH.c.run_id,
            EPOCH.c.epoch,
            EPOCH.c.seconds,
            EPOCH.c.learning_rate,
            METRIC.c.value,
            METRIC.c.value_kind,
        )
        .join_from(
            EPOCH,
            METRIC,
            and_(METRIC.c.epoch_id == EPOCH.c.id, METRIC.c.name == metric),
            isouter=True,
        )
        .where(EPOCH.c.superseded.is_(False))
        .order_by(EPOCH.c.run_id, EPOCH.c.epoch)
    )
    for run, epoch, seconds, rate, value, kind in in_chunks(
        reader.connection, statement, EPOCH.c.run_id, runs
    ):
        curve = by_run[run]
        plain = value if kind == "finite" else values.join(value, kind)
        curve.points.append((epoch, plain))
        curve.seconds.append(seconds)
        curve.rates.append(rate)
    return by_run


def metrics_of(reader: Reader, runs: Sequence[str]) -> dict[str, set[str]]:
    """Return the names of the metrics of epochs that each run has."""
    names: dict[str, set[str]] = {run: set() for run in runs}
    statement = select(SUMMARY.c.run_id, SUMMARY.c.name).where(~OF_STEPS)
    for row in in_chunks(reader.connection, statement, SUMMARY.c.run_id, runs):
        names[row.run_id].add(row.name)
    return names


def with_epochs(reader: Reader, runs: Sequence[str]) -> set[str]:
    """Return those of the runs that have an effective epoch."""
    statement = select(EPOCH.c.run_id).where(EPOCH.c.superseded.is_(False)).distinct()
    return {row.run_id for row in in_chunks(reader.connection, statement, EPOCH.c.run_id, runs)}
