"""A run that is being recorded, followed: each look reads what was recorded since the one before it."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_

from tracker.models import ATTEMPT, CLOCK, DECISION, POLICY, RUN
from tracker.queries.latest_step import LatestStep, latest_step
from tracker.queries.monitored import NOTHING_RECORDED, monitored
from tracker.queries.new_epochs import NewEpoch, new_epochs
from tracker.queries.progress import planned
from tracker.queries.runs import overview
from tracker.queries.status import is_dead
from tracker.queries.system import latest
from tracker.states import RunStatus, VerdictWord
from tracker.storage.database import Reader
from tracker.storage.directions import Directions
from tracker.values import from_json, join

_JUDGE = "EarlyStopping"
_QUIET = (VerdictWord.WAITED, VerdictWord.SKIPPED, VerdictWord.SCHEDULED)
"""Verdicts that come at every epoch, and tell no news."""
_MOST_DECISIONS = 500
"""The newest, at the first look: an earlier one is not new."""
_AVERAGED = 5
"""The last epochs, whose mean duration the remaining time is estimated from."""
_SPAN = 10.0
"""Seconds that steps per second are averaged over."""

# Built once: making a statement costs more than running it.
_RUN = select(RUN).where(RUN.c.id == bindparam("run"))
_NEWEST_ATTEMPT = (
    select(ATTEMPT)
    .where(ATTEMPT.c.run_id == bindparam("run"))
    .order_by(ATTEMPT.c.number.desc())
    .limit(1)
)
_OF_ATTEMPT = CLOCK.c.run_id == bindparam("run"), CLOCK.c.attempt == bindparam("attempt")
_LAST_LOGGED = (
    select(CLOCK.c.last_step)
    .where(*_OF_ATTEMPT, CLOCK.c.number >= 0)
    .order_by(CLOCK.c.number.desc())
    .limit(1)
)
_LAST_MEASURED = (
    select(CLOCK.c.attempt, CLOCK.c.number, CLOCK.c.calls)
    .where(*_OF_ATTEMPT, CLOCK.c.number < 0)
    .order_by(CLOCK.c.number.desc())
    .limit(1)
)
_NEW_DECISIONS = (
    select(DECISION, POLICY.c.kind, POLICY.c.config)
    .join_from(DECISION, POLICY, DECISION.c.policy_id == POLICY.c.id)
    .where(DECISION.c.run_id == bindparam("run"), DECISION.c.superseded.is_(False))
    .where(
        tuple_(DECISION.c.attempt, DECISION.c.number)
        > tuple_(bindparam("attempt"), bindparam("number"))
    )
    .order_by(DECISION.c.attempt.desc(), DECISION.c.number.desc())
    .limit(_MOST_DECISIONS)
)


@dataclass(frozen=True)
class NewDecision:
    """A decision that was taken since the look before."""

    attempt: int
    number: int
    epoch: int
    policy: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class Waiting:
    """Where early stopping stands: checks without improvement, and what would be one.

    ``better`` is "min" or "max", and ``beats`` what a value must be below or above to be an improvement; None
    where any number is one, or where nobody knows which way is better.
    """

    monitor: str | None
    wait: int | None
    patience: int | None
    better: str | None = None
    beats: float | None = None


@dataclass
class Followed:
    """What is known of a run after a look.

    Attributes:
        row: the run with `tracker.queries.runs.COLUMNS`, its status as it is now.
        fresh: the epochs since the look before.
        decisions: the decisions since then.
        epoch: the newest epoch; None before the first.
        latest: of a run without epochs, the last value of each step metric.
        step: the last step that a step metric was logged at, or that an epoch ended with.
        speed: steps per second, over the last seconds; None where nobody counts steps.
        planned: how many epochs it has at most, where it said so.
        left: seconds until then, by the last epochs; None where that is not known.
        waiting: where its early stopping stands, if it has one.
        event: the newest decision that changed something: improved, saved, reduced, stopped …
        system: the last measurement of the machine, by name.
    """

    row: dict[str, Any]
    fresh: list[NewEpoch] = field(default_factory=list)
    decisions: list[NewDecision] = field(default_factory=list)
    epoch: NewEpoch | None = None
    latest: LatestStep | None = None
    step: int | None = None
    speed: float | None = None
    planned: int | None = None
    left: float | None = None
    waiting: Waiting | None = None
    event: NewDecision | None = None
    system: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Whether it is being recorded."""
        return bool(self.row["status"] == RunStatus.RUNNING)


class Follower:
    """Follows one run; keeps cursors into its epochs, decisions and blocks, never their rows.

    Args:
        run: its id.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self._known: Followed | None = None
        self._decided = (0, -1)
        self._judged: Any = None
        self._measured: tuple[Any, ...] | None = None
        self._seconds: deque[float] = deque(maxlen=_AVERAGED)
        self._steps: deque[tuple[float, int]] = deque()

    def look(self, reader: Reader) -> Followed:
        """Return what is known now."""
        connection, before = reader.connection, self._known
        attempt = _newest_attempt(connection, self.run)
        last = None if before is None else before.epoch
        fresh = new_epochs(reader, self.run, after=last)
        decisions = self._new_decisions(connection)
        stepped = _last_logged(connection, self.run, attempt.number)
        newest = fresh[-1] if fresh else last
        steps = latest_step(reader, self.run) if newest is None else None
        changed = bool(fresh) or (before is not None and steps != before.latest)
        row = self._row(reader, attempt, changed=changed)
        found = Followed(row, fresh, decisions, newest, steps)
        found.step = _highest(stepped, None if found.epoch is None else found.epoch.step)
        found.speed = self._speed(fresh, last, stepped)
        found.planned = planned(reader, self.run) if before is None else before.planned
        found.left = self._left(found, attempt)
        found.waiting = self._waiting(connection, None if before is None else before.waiting)
        news = [one for one in decisions if one.verdict not in _QUIET]
        found.event = news[-1] if news else None if before is None else before.event
        found.system = self._system(reader, attempt.number)
        self._known = found
        return found

    def _row(self, reader: Reader, attempt: Any, *, changed: bool) -> dict[str, Any]:
        """Return the run's row; its best is asked for where the run has new values, or another status."""
        before = None if self._known is None else self._known.row
        connection = reader.connection
        run = connection.execute(_RUN, {"run": self.run}).one()
        lost = run.status == RunStatus.RUNNING and is_dead(connection, attempt)
        status = str(RunStatus.LOST) if lost else run.status
        if before is None or before["status"] != status:
            (before,) = overview(reader, ids=[self.run]).dicts()
        elif changed:
            this = [self.run]
            found = monitored(connection, this, this, Directions(connection, this))
            before = {**before, **found.get(self.run, NOTHING_RECORDED)._asdict()}
        return {**before, "status": status, "epochs": run.epochs, "seconds": run.seconds}

    def _new_decisions(self, connection: Connection) -> list[NewDecision]:
        attempt, number = self._decided
        after = {"run": self.run, "attempt": attempt, "number": number}
        rows = list(connection.execute(_NEW_DECISIONS, after))[::-1]
        if rows:
            self._decided = rows[-1].attempt, rows[-1].number
        judged = [row for row in rows if row.kind == _JUDGE]
        self._judged = judged[-1] if judged else None
        return [
            NewDecision(row.attempt, row.number, row.epoch, row.kind, row.verdict, row.reason)
            for row in rows
        ]

    def _waiting(self, connection: Connection, before: Waiting | None) -> Waiting | None:
        row = self._judged
        if row is None:
            return before
        config = from_json(row.config) or {}
        better = config.get("mode")
        if better not in ("min", "max") and row.monitor is not None:
            better = Directions(connection, [self.run]).of(row.monitor, self.run).mode
        best = join(row.best, row.best_kind)
        reference = config.get("baseline") if best is None else best
        shift = abs(config.get("min_delta") or 0.0)
        beats = None
        if better is not None and reference is not None:
            beats = reference - shift if better == "min" else reference + shift
        return Waiting(row.monitor, row.wait, config.get("patience"), better, beats)

    def _speed(
        self, fresh: list[NewEpoch], last: NewEpoch | None, stepped: int | None
    ) -> float | None:
        """Return steps per second: of what is logged, over the last seconds; else of the last epoch."""
        if stepped is None:
            speeds = map(steps_per_second, [last, *fresh], fresh)
            known = [speed for speed in speeds if speed is not None]
            return known[-1] if known else None if self._known is None else self._known.speed
        now = time.monotonic()
        if self._steps and stepped < self._steps[-1][1]:
            # A resumed run went back.
            self._steps.clear()
        self._steps.append((now, stepped))
        while now - self._steps[0][0] > _SPAN and len(self._steps) > 2:
            self._steps.popleft()
        (began, first), (ended, newest) = self._steps[0], self._steps[-1]
        return (newest - first) / (ended - began) if newest > first and ended > began else None

    def _left(self, found: Followed, attempt: Any) -> float | None:
        self._seconds.extend(epoch.seconds for epoch in found.fresh[-_AVERAGED:])
        if not found.is_running or found.planned is None or found.epoch is None:
            return None
        epochs = found.planned - found.epoch.epoch - 1
        if epochs <= 0 or not self._seconds:
            return None
        return epochs * math.fsum(self._seconds) / len(self._seconds)

    def _system(self, reader: Reader, attempt: int) -> Mapping[str, float]:
        """Return the last measurement, read where there is a new one."""
        key = {"run": self.run, "attempt": attempt}
        row = reader.connection.execute(_LAST_MEASURED, key).first()
        place = None if row is None else tuple(row)
        if place == self._measured:
            return {} if self._known is None else self._known.system
        self._measured = place
        return latest(reader, self.run, attempt)


def _newest_attempt(connection: Connection, run: str) -> Any:
    return connection.execute(_NEWEST_ATTEMPT, {"run": run}).one()


def _last_logged(connection: Connection, run: str, attempt: int) -> int | None:
    """Return the last step of an attempt's newest block of step metrics."""
    step = connection.scalar(_LAST_LOGGED, {"run": run, "attempt": attempt})
    return None if step is None else int(step)


def _highest(*steps: int | None) -> int | None:
    return max((step for step in steps if step is not None), default=None)


def steps_per_second(before: NewEpoch | None, epoch: NewEpoch) -> float | None:
    """Return how many training batches an epoch did per second; None where it was not counted."""
    if epoch.step is None or epoch.seconds <= 0:
        return None
    if before is None:
        return epoch.step / epoch.seconds if epoch.epoch == 0 else None
    steps = epoch.step - (before.step or 0)
    follows = before.attempt == epoch.attempt and before.epoch + 1 == epoch.epoch
    return steps / epoch.seconds if follows and before.step is not None and steps > 0 else None
