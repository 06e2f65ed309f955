"""What a resumed run gets back: the epochs it has, and each policy's state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from tracker import values
from tracker.models import CLOCK, DECISION, EPOCH, METRIC, POLICY
from tracker.queries.callbacks import by_callback
from tracker.storage.database import Reader
from tracker.storage.decision_state import state_of


@dataclass(frozen=True)
class EarlierPolicy:
    """The same policy in earlier attempts: their ids, newest first, and the newest one's arguments."""

    ids: tuple[str, ...] = ()
    config: dict[str, Any] | None = None


def earlier_policy(
    reader: Reader, run_id: str, attempt: int, kind: str, monitor: str | None, number: int
) -> EarlierPolicy:
    """Find a policy of this attempt, by its number, again in those before; see `by_callback`."""
    rows = reader.connection.execute(
        select(POLICY)
        .where(POLICY.c.run_id == run_id, POLICY.c.kind == kind)
        .where(POLICY.c.monitor.is_(None) if monitor is None else POLICY.c.monitor == monitor)
    ).all()
    place = sum(row.attempt == attempt and row.number < number for row in rows)
    groups = by_callback(row for row in rows if row.attempt < attempt)
    if place >= len(groups):
        return EarlierPolicy()
    newest_first = groups[place][::-1]
    config = values.from_json(newest_first[0].config)
    return EarlierPolicy(tuple(row.id for row in newest_first), config)


def saved_state(reader: Reader, policies: tuple[str, ...], before: int) -> dict[str, Any] | None:
    """Return the state with the last effective decision of these policies below the epoch ``before``."""
    rows = reader.connection.execute(
        select(DECISION.c.state)
        .where(
            DECISION.c.policy_id.in_(policies),
            DECISION.c.epoch < before,
            DECISION.c.superseded.is_(False),
            DECISION.c.state.is_not(None),
        )
        .order_by(DECISION.c.epoch.desc(), DECISION.c.attempt.desc(), DECISION.c.number.desc())
    )
    with rows:
        states = (state_of(row.state) for row in rows)
        return next((state for state in states if state is not None), None)


def history(reader: Reader, run_id: str, before: int) -> tuple[list[int], dict[str, list[float]]]:
    """Return the effective epochs below ``before`` and their metrics, in the order they were first logged."""
    rows = reader.connection.execute(
        select(EPOCH.c.epoch, METRIC.c.name, METRIC.c.value, METRIC.c.value_kind)
        .join_from(EPOCH, METRIC, METRIC.c.epoch_id == EPOCH.c.id, isouter=True)
        .where(EPOCH.c.run_id == run_id, EPOCH.c.superseded.is_(False), EPOCH.c.epoch < before)
        .order_by(EPOCH.c.epoch, METRIC.c.position)
    ).all()
    epochs = list(dict.fromkeys(row.epoch for row in rows))
    places = {epoch: place for place, epoch in enumerate(epochs)}
    columns: dict[str, list[float]] = {}
    for row in rows:
        if row.name is not None:
            column = columns.setdefault(row.name, [math.nan] * len(epochs))
            value = values.join(row.value, row.value_kind)
            column[places[row.epoch]] = math.nan if value is None else value
    return epochs, columns


def recorded_epoch(reader: Reader, run_id: str, epoch: int) -> dict[str, float] | None:
    """Return the metrics of one effective epoch, NaN included; None where it was not recorded."""
    rows = reader.connection.execute(
        select(METRIC.c.name, METRIC.c.value, METRIC.c.value_kind)
        .join_from(EPOCH, METRIC, METRIC.c.epoch_id == EPOCH.c.id, isouter=True)
        .where(EPOCH.c.run_id == run_id, EPOCH.c.epoch == epoch, EPOCH.c.superseded.is_(False))
        .order_by(METRIC.c.position)
    ).all()
    if not rows:
        return None
    metrics = {row.name: values.join(row.value, row.value_kind) for row in rows}
    return {name: value for name, value in metrics.items() if value is not None}


def next_epoch(reader: Reader, run_id: str) -> int:
    """Return the number after the last effective epoch."""
    last = reader.connection.execute(
        select(func.max(EPOCH.c.epoch)).where(
            EPOCH.c.run_id == run_id, EPOCH.c.superseded.is_(False)
        )
    ).scalar()
    return 0 if last is None else int(last) + 1


def next_step(reader: Reader, run_id: str) -> int:
    """Return the number after the highest step."""
    last = reader.connection.execute(
        select(func.max(CLOCK.c.last_step)).where(CLOCK.c.run_id == run_id)
    ).scalar()
    return 0 if last is None else int(last) + 1
