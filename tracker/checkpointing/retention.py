"""Which of a run's available checkpoints are its best ones, which is the last, and which are never deleted.

Every listing, every pruning and every alias asks here; the rule that ranks values is
`tracker.policies.top_k`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Select, exists, or_, select

from tracker.models import CHECKPOINT, POLICY, REMOTE_COPY
from tracker.policies.modes import direction
from tracker.policies.retention import Retention
from tracker.policies.top_k import TopK, best_of
from tracker.states import CheckpointState, KeepRule

OLDEST_FIRST = (CHECKPOINT.c.attempt, CHECKPOINT.c.created)
"""The order of a run's checkpoints; between two attempts the clock may have been set back."""


class Saved(NamedTuple):
    """What retention asks of a checkpoint: ``value`` is that of ``monitor``, ``mode`` how it is ranked."""

    id: str
    monitor: str | None
    value: float | None
    mode: str | None
    pinned: bool = False


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
        """How its values are ranked: "min" or "max"; None: by the name."""

    @property
    def pinned(self) -> bool:
        """Whether it is never to be deleted."""


class Stored(NamedTuple):
    """What retention asks of a file in the store; ``mode``: "min" or "max", None where its metric has no best."""

    id: str
    run: str
    experiment: str
    monitor: str | None
    value: float | None
    mode: str | None
    pinned: bool
    rule: str
    bytes: int


class BestAndLast(NamedTuple):
    """The best checkpoints of a run, id → monitor, and the id of the last one; None where there are none."""

    best: dict[str, str]
    last: str | None


def available() -> Select[Any]:
    """Select the available checkpoints with their policy's ``config``, those of a run oldest first."""
    return _with_config().where(_AVAILABLE)


def obtainable() -> Select[Any]:
    """Select as `available`, and also those that have a copy in a remote folder (``copied``)."""
    copied = exists().where(
        REMOTE_COPY.c.checkpoint_id == CHECKPOINT.c.id,
        REMOTE_COPY.c.state == CheckpointState.AVAILABLE,
    )
    return _with_config(copied.label("copied")).where(or_(_AVAILABLE, copied))


_AVAILABLE = CHECKPOINT.c.state == CheckpointState.AVAILABLE


def _with_config(*more: ColumnElement[Any]) -> Select[Any]:
    return (
        select(CHECKPOINT, POLICY.c.config, *more)
        .join_from(CHECKPOINT, POLICY, CHECKPOINT.c.policy_id == POLICY.c.id, isouter=True)
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
    free = [(one.id, None, None) for one in checkpoints if one.id not in reasons]
    newest = Retention(last=keep).choose(free).keep
    return reasons | dict.fromkeys(newest, f"it is one of the {keep} newest")


def kept_in_store(files: Sequence[Stored], limit: int | None = None) -> dict[str, str]:
    """Return which files stay in the store: id → the reason. The others go.

    Pinned ones stay; else the best by each monitor, of each experiment or, under the rule "run", of
    each run. Of equal values the oldest is the best; a NaN never is.

    Args:
        files: those in the store, oldest first.
        limit: how many bytes they may take. Beyond it those that only their own run's rule keeps go
            first, the oldest of them before the others; pinned ones never go.
    """
    reasons: dict[str, str] = {}
    best_of_rule: dict[KeepRule, set[str]] = {KeepRule.RUN: set(), KeepRule.BEST: set()}
    for rule, what in ((KeepRule.RUN, "run"), (KeepRule.BEST, "experiment")):
        groups: dict[tuple[str, str | None, str], list[tuple[str, float | None, None]]] = {}
        for one in files:
            asked = one.rule == KeepRule.RUN or (rule, one.rule) == (KeepRule.BEST, KeepRule.BEST)
            if one.mode is not None and asked:
                owner = one.run if rule == KeepRule.RUN else one.experiment
                key = owner, one.monitor, one.mode
                groups.setdefault(key, []).append((one.id, one.value, None))
        for (_, monitor, mode), group in groups.items():
            if (best := best_of(group, mode)) is not None:
                best_of_rule[rule].add(best)
                reasons[best] = f"it is the best of its {what} by {monitor}"
    reasons |= {one.id: "it is pinned" for one in files if one.pinned}
    if limit is not None:
        staying = [one for one in files if one.id in reasons]
        of_run_alone = best_of_rule[KeepRule.RUN] - best_of_rule[KeepRule.BEST]
        for id in _beyond(staying, of_run_alone, limit):
            del reasons[id]
    return reasons


def _beyond(staying: Sequence[Stored], first: Collection[str], limit: int) -> list[str]:
    """Return which of the files that would stay go beyond a size limit: the ``first`` before the others."""
    total = sum(one.bytes for one in staying)
    going = []
    for one in sorted(staying, key=lambda one: one.id not in first):
        if total <= limit:
            break
        if not one.pinned:
            going.append(one.id)
            total -= one.bytes
    return going


def among_best(checkpoints: Sequence[Registered], best: int) -> dict[str, str]:
    """Return which of a run's checkpoints, oldest first, are among the ``best`` ones by a monitor: id → the reason."""
    judged: dict[tuple[str, str], list[tuple[str, float | None, None]]] = {}
    for one in checkpoints:
        if one.monitor is not None and one.value is not None:
            key = one.monitor, direction(one.monitor, one.mode)
            judged.setdefault(key, []).append((one.id, one.value, None))
    return {
        id: f"it is one of the {best} best by {monitor}"
        for (monitor, mode), files in judged.items()
        for id in TopK(best, monitor, mode).choose(files).keep
    }
