"""What a resumed run gets back: the epochs it has, and each policy's state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select

from tracker import values
from tracker.models import CLOCK, DECISION, EPOCH, METRIC, POLICY
from tracker.queries.callbacks import by_callback
from tracker.recording.null_recorder import Silence

if TYPE_CHECKING:
    from tracker.recording.run import Run


@dataclass(frozen=True)
class Earlier:
    """The same policy in earlier attempts: their ids, newest first, and the newest one's arguments."""

    ids: tuple[str, ...] = ()
    config: dict[str, Any] | None = None


def earlier_policies(run: Run, kind: str, monitor: str | None, number: int) -> Earlier:
    """Find a policy of this attempt again in those before; see `by_callback`."""
    if run.attempt == 1 or isinstance(run.writer, Silence):
        return Earlier()
    return run.writer.query(lambda found: _earlier(found, run, kind, monitor, number))


def _earlier(
    connection: Connection, run: Run, kind: str, monitor: str | None, number: int
) -> Earlier:
    rows = connection.execute(
        select(POLICY)
        .where(POLICY.c.run_id == run.id, POLICY.c.kind == kind)
        .where(POLICY.c.monitor.is_(None) if monitor is None else POLICY.c.monitor == monitor)
    ).all()
    place = sum(row.attempt == run.attempt and row.number < number for row in rows)
    groups = by_callback(row for row in rows if row.attempt < run.attempt)
    if place >= len(groups):
        return Earlier()
    newest_first = groups[place][::-1]
    return Earlier(tuple(row.id for row in newest_first), values.from_json(newest_first[0].config))


def saved_state(run: Run, earlier: Earlier) -> dict[str, Any] | None:
    """Return the state with the last effective decision before the epoch at which the run goes on."""
    if not earlier.ids or isinstance(run.writer, Silence):
        return None
    statement = (
        select(DECISION.c.state)
        .where(
            DECISION.c.policy_id.in_(earlier.ids),
            DECISION.c.epoch < run.first_epoch,
            DECISION.c.superseded.is_(False),
            DECISION.c.state.is_not(None),
        )
        .order_by(DECISION.c.epoch.desc(), DECISION.c.attempt.desc(), DECISION.c.number.desc())
        .limit(1)
    )
    text = run.writer.query(lambda connection: connection.execute(statement).scalar())
    state: dict[str, Any] | None = values.from_json(text)
    return state


def history(
    connection: Connection, run_id: str, before: int
) -> tuple[list[int], dict[str, list[float]]]:
    """Return the effective epochs below ``before`` and their metrics, in the order they were first logged."""
    rows = connection.execute(
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


def recorded_epoch(connection: Connection, run_id: str, epoch: int) -> dict[str, float] | None:
    """Return the metrics of one effective epoch, NaN included; None where it was not recorded."""
    rows = connection.execute(
        select(METRIC.c.name, METRIC.c.value, METRIC.c.value_kind)
        .join_from(EPOCH, METRIC, METRIC.c.epoch_id == EPOCH.c.id, isouter=True)
        .where(EPOCH.c.run_id == run_id, EPOCH.c.epoch == epoch, EPOCH.c.superseded.is_(False))
        .order_by(METRIC.c.position)
    ).all()
    if not rows:
        return None
    values_of = {row.name: values.join(row.value, row.value_kind) for row in rows}
    return {name: value for name, value in values_of.items() if value is not None}


def next_epoch(connection: Connection, run_id: str) -> int:
    """Return the number after the last effective epoch."""
    last = connection.execute(
        select(func.max(EPOCH.c.epoch)).where(
            EPOCH.c.run_id == run_id, EPOCH.c.superseded.is_(False)
        )
    ).scalar()
    return 0 if last is None else int(last) + 1


def next_step(connection: Connection, run_id: str) -> int:
    """Return the number after the highest step."""
    last = connection.execute(
        select(func.max(CLOCK.c.last_step)).where(CLOCK.c.run_id == run_id)
    ).scalar()
    return 0 if last is None else int(last) + 1
