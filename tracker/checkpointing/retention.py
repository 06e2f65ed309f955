"""Which of a run's available checkpoints are its best ones, which is the last, and which are never deleted.

Every listing, every pruning and every alias asks here; the rule that ranks values is
`tracker.policies.top_k`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Select, select

from tracker.models import CHECKPOINT, POLICY
from tracker.policies.modes import direction
from tracker.policies.top_k import best_of
from tracker.states import CheckpointState

OLDEST_FIRST = (CHECKPOINT.c.attempt, CHECKPOINT.c.created)
"""The order of a run's checkpoints; between two attempts the clock may have been set back."""


class Saved(NamedTuple):
    """What retention asks of a checkpoint: ``value`` is that of ``monitor``, ``mode`` its policy's."""

    id: str
    monitor: str | None
    value: float | None
    mode: str | None


class Registered(Protocol):
    """What retention asks of a registered checkpoint, which may be pinned."""

    @property
    def id(self) -> str:
        """The checkpoint's id."""

    @property
    def monitor(self) -> str | None:
        """The name of the metric."""

    @property
    def value(self) -> float | None:
        """Its value when the checkpoint was saved."""

    @property
    def mode(self) -> str | None:
        """The mode of the policy that saved it."""

    @property
    def pinned(self) -> bool:
        """Whether it is never to be deleted."""


class BestAndLast(NamedTuple):
    """The best checkpoints of a run, id → monitor, and the id of the last one; None where there are none."""

    best: dict[str, str]
    last: str | None


def available() -> Select[Any]:
    """Select the available checkpoints with their policy's ``config``, those of a run oldest first."""
    return (
        select(CHECKPOINT, POLICY.c.config)
        .join_from(CHECKPOINT, POLICY, CHECKPOINT.c.policy_id == POLICY.c.id, isouter=True)
        .where(CHECKPOINT.c.state == CheckpointState.AVAILABLE)
        .order_by(*OLDEST_FIRST)
    )


def best_and_last(checkpoints: Iterable[Saved | Registered]) -> BestAndLast:
    """Return which of a run's checkpoints, oldest first, are the best by each monitor and direction, and the last.

    Of equal values the oldest is the best; a NaN never is.
    """
    last = None
    judged: dict[tuple[str, str], list[tuple[str, float | None, None]]] = {}
    for checkpoint in checkpoints:
        last = checkpoint.id
        if (monitor := checkpoint.monitor) is not None:
            key = monitor, direction(monitor, checkpoint.mode)
            judged.setdefault(key, []).append((checkpoint.id, checkpoint.value, None))
    best: dict[str, str] = {}
    for (monitor, better), files in judged.items():
        if (id := best_of(files, better)) is not None:
            best[id] = monitor
    return BestAndLast(best, last)


def protected(checkpoints: Sequence[Registered]) -> dict[str, str]:
    """Return which of a run's available checkpoints, oldest first, are never deleted: id → the reason."""
    reasons = {one.id: "it is pinned" for one in checkpoints if one.pinned}
    best, last = best_and_last(checkpoints)
    if last is not None:
        reasons[last] = "it is the last one"
    return reasons | {id: f"it is the best by {monitor}" for id, monitor in best.items()}


def kept_beside_newest(checkpoints: Sequence[Registered], keep: int) -> dict[str, str]:
    """Return which of them stay where the ``keep`` newest of those that are not protected do: id → the reason."""
    reasons = protected(checkpoints)
    free = [one.id for one in checkpoints if one.id not in reasons]
    newest = free[max(0, len(free) - keep) :]
    return reasons | dict.fromkeys(newest, f"it is one of the {keep} newest")
