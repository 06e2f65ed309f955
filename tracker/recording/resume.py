"""What a resumed run gets back: the epochs it has, and each policy's state."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import func, select

from tracker import values
from tracker.models import ATTEMPT, CLOCK, DECISION, EPOCH, METRIC, PARAM, POLICY
from tracker.queries.callbacks import by_callback
from tracker.storage.database import Reader
from tracker.storage.decision_state import state_of
from tracker.values import brief

log = logging.getLogger("tracker")


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


@dataclass(frozen=True)
class Changes:
    """What a resumed attempt has otherwise than the one before: name → (then, now)."""

    params: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    captured: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def report(self, run: str, reported: set[str] | None = None) -> None:
        """Log each change once; ``reported`` holds the names that have been."""
        seen = set() if reported is None else reported
        named = {f"params.{name}": pair for name, pair in self.params.items()} | self.captured
        new = {name: pair for name, pair in named.items() if name not in seen}
        seen.update(new)
        told = [f"{name}={brief(now)} (it had {brief(then)})" for name, (then, now) in new.items()]
        if told:
            more = f" and {len(told) - _MOST_CHANGES} more" if len(told) > _MOST_CHANGES else ""
            log.warning(
                "local-tracker: run %s resumes with %s%s.",
                run, ", ".join(told[:_MOST_CHANGES]), more,
            )  # fmt: skip


_MOST_CHANGES = 8
_WATCHED = (
    "python",
    "packages.",
    "git.commit",
    "git.modified",
    "fit.",
    "optimizer",
    "model.",
    "scheduler",
    "loop.",
    "data.",
)
"""What of the captured facts matters for going on as before; a folder or a machine does not."""


def changes(
    reader: Reader,
    run_id: str,
    attempt: int,
    params: Mapping[str, Any],
    captured: Mapping[str, Any],
) -> Changes:
    """Compare what an attempt is given with what the attempt before had; what is new is not a change."""
    then = {
        row.name: values.param_decode(row.kind, row.text)
        for row in reader.connection.execute(select(PARAM).where(PARAM.c.run_id == run_id))
    }
    now = {
        name: values.param_decode(*values.param_encode(value)[:2])
        for name, value in values.leaves(params)
    }
    before = _captured_before(reader, run_id, attempt)
    facts = {name: value for name, value in values.leaves(captured) if name.startswith(_WATCHED)}
    return Changes(_differing(then, now), _differing(before, facts))


def _captured_before(reader: Reader, run_id: str, attempt: int) -> dict[str, Any]:
    rows = reader.connection.execute(
        select(ATTEMPT.c.captured)
        .where(ATTEMPT.c.run_id == run_id, ATTEMPT.c.number < attempt)
        .order_by(ATTEMPT.c.number.desc())
        .limit(1)
    ).all()
    return dict(values.leaves(values.from_json(rows[0].captured) or {})) if rows else {}


def _differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (then[name], value)
        for name, value in now.items()
        if name in then and repr(then[name]) != repr(value)
    }


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


class History(NamedTuple):
    """Effective epochs, and a value per epoch of each metric, in the order they were first logged."""

    epochs: list[int]
    metrics: dict[str, list[float]]


def history(reader: Reader, run_id: str, before: int | None = None) -> History:
    """Return the effective epochs below ``before``, or all of them."""
    statement = (
        select(EPOCH.c.epoch, METRIC.c.name, METRIC.c.value, METRIC.c.value_kind)
        .join_from(EPOCH, METRIC, METRIC.c.epoch_id == EPOCH.c.id, isouter=True)
        .where(EPOCH.c.run_id == run_id, EPOCH.c.superseded.is_(False))
        .order_by(EPOCH.c.epoch, METRIC.c.position)
    )
    if before is not None:
        statement = statement.where(EPOCH.c.epoch < before)
    rows = reader.connection.execute(statement).all()
    epochs = list(dict.fromkeys(row.epoch for row in rows))
    places = {epoch: place for place, epoch in enumerate(epochs)}
    columns: dict[str, list[float]] = {}
    for row in rows:
        if row.name is not None:
            column = columns.setdefault(row.name, [math.nan] * len(epochs))
            value = values.join(row.value, row.value_kind)
            column[places[row.epoch]] = math.nan if value is None else value
    return History(epochs, columns)


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


def steps_done(reader: Reader, run_id: str, before: int) -> int:
    """Return how many batches were done at the end of the last effective epoch below ``before`` that says so."""
    last = reader.connection.execute(
        select(EPOCH.c.step)
        .where(
            EPOCH.c.run_id == run_id,
            EPOCH.c.superseded.is_(False),
            EPOCH.c.epoch < before,
            EPOCH.c.step.is_not(None),
        )
        .order_by(EPOCH.c.epoch.desc())
        .limit(1)
    ).scalar()
    return 0 if last is None else int(last)


def next_epoch(reader: Reader, run_id: str) -> int:
    """Return the number after the last effective epoch."""
    last = reader.connection.execute(
        select(func.max(EPOCH.c.epoch)).where(
            EPOCH.c.run_id == run_id, EPOCH.c.superseded.is_(False)
        )
    ).scalar()
    return 0 if last is None else int(last) + 1


def next_step(reader: Reader, run_id: str) -> int:
    """Return the number after the highest step of ``log``; samples of the machine have numbers below 0."""
    last = reader.connection.execute(
        select(func.max(CLOCK.c.last_step)).where(CLOCK.c.run_id == run_id, CLOCK.c.number >= 0)
    ).scalar()
    return 0 if last is None else int(last) + 1
