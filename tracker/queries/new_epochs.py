"""The epochs that were recorded since somebody last looked: what following a run costs, however long it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import and_, or_, select

from tracker.models import EPOCH, METRIC
from tracker.storage.database import Reader
from tracker.values import join


@dataclass(frozen=True)
class NewEpoch:
    """An effective epoch of an attempt, with its metrics in the order they were logged.

    ``step`` is how many training batches the run had done at its end.
    """

    id: int
    attempt: int
    epoch: int
    seconds: float
    step: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    started: int = 0

    @property
    def ended(self) -> float:
        """When it ended, in µs since 1970."""
        return self.started + self.seconds * 1e6


def new_epochs(reader: Reader, run: str, after: NewEpoch | None = None) -> list[NewEpoch]:
    """Return the effective epochs of a run that follow ``after``: later ones, and those of later attempts.

    A later attempt repeats epochs; the repeated ones are new, too.
    """
    if reader.empty:
        return []
    statement = (
        select(EPOCH, METRIC.c.name, METRIC.c.value, METRIC.c.value_kind)
        .join_from(EPOCH, METRIC, METRIC.c.epoch_id == EPOCH.c.id, isouter=True)
        .where(EPOCH.c.run_id == run, EPOCH.c.superseded.is_(False))
        .order_by(EPOCH.c.attempt, EPOCH.c.epoch, METRIC.c.position)
    )
    if after is not None:
        is_later = and_(EPOCH.c.attempt == after.attempt, EPOCH.c.epoch > after.epoch)
        statement = statement.where(or_(EPOCH.c.attempt > after.attempt, is_later))
    found: dict[int, NewEpoch] = {}
    for row in reader.connection.execute(statement):
        epoch = found.setdefault(
            row.id,
            NewEpoch(row.id, row.attempt, row.epoch, row.seconds, row.step, started=row.started),
        )
        value = join(row.value, row.value_kind)
        if row.name is not None and value is not None:
            epoch.metrics[row.name] = value
    return list(found.values())
