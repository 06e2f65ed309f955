"""Which of a run's available checkpoints are its best ones, and which is the last: said here, for all."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Select, select

from tracker.models import CHECKPOINT, POLICY
from tracker.policies.modes import direction

OLDEST_FIRST = (CHECKPOINT.c.attempt, CHECKPOINT.c.created)
"""The order of a run's checkpoints; between two attempts the clock may have been set back."""


class Saved(NamedTuple):
    """What counts of a checkpoint: ``value`` is that of ``monitor``, ``mode`` its policy's."""

    id: str
    monitor: str | None
    value: float | None
    mode: str | None


class Standing(NamedTuple):
    """The best checkpoints of a run, id → monitor, and the id of the last one; None where there is none."""

    best: dict[str, str]
    last: str | None


def available() -> Select[Any]:
    """Select the available checkpoints with their policy's ``config``, those of a run oldest first."""
    return (
        select(CHECKPOINT, POLICY.c.config)
        .join_from(CHECKPOINT, POLICY, CHECKPOINT.c.policy_id == POLICY.c.id, isouter=True)
        .where(CHECKPOINT.c.state == "available")
        .order_by(*OLDEST_FIRST)
    )


def standing(checkpoints: Iterable[Saved]) -> Standing:
    """Say which of a run's checkpoints, oldest first, are the best by each monitor and direction, and the last.

    Of equal values the oldest is the best; a NaN never is.
    """
    best: dict[tuple[str, str], Saved] = {}
    last = None
    for one in checkpoints:
        last = one.id
        if one.monitor is None or one.value is None or math.isnan(one.value):
            continue
        way = direction(one.monitor, one.mode)
        value = best.setdefault((one.monitor, way), one).value
        if value is not None and (one.value > value if way == "max" else one.value < value):
            best[one.monitor, way] = one
    return Standing({one.id: monitor for (monitor, _), one in best.items()}, last)
