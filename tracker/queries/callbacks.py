"""The callbacks that a run had, through all its attempts: their settings and what they decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from tracker import values
from tracker.models import DECISION, POLICY
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.decision_state import cause_of

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Callback:
    """A callback with the settings of the newest attempt; ``ids`` are its policies in all of them."""

    monitor: str | None
    rules: str | None
    config: Mapping[str, Any]
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Decided:
    """What a callback decided at an epoch; ``cause`` is a `tracker.states.Cause`, None for its own rule."""

    epoch: int
    step: int | None
    value: float | None
    verdict: str
    reason: str
    lr_before: float | None
    lr_after: float | None
    path: str | None
    cause: str | None


def callbacks(reader: Reader, runs: Sequence[str], kind: str) -> dict[str, list[Callback]]:
    """Return the callbacks of a kind that each run's newest such attempt had, in their order."""
    statement = select(POLICY).where(POLICY.c.kind == kind)
    found: dict[str, list[Any]] = {}
    for row in in_chunks(reader.connection, statement, POLICY.c.run_id, runs):
        found.setdefault(row.run_id, []).append(row)
    return {run: [_callback(rows) for rows in newest(of_run)] for run, of_run in found.items()}


def newest(rows: Sequence[Any]) -> list[list[Any]]:
    """Return each callback of a run's newest attempt, in their order: its policy rows, oldest first."""
    attempt = max((row.attempt for row in rows), default=None)
    groups = [group for group in by_callback(rows) if group[-1].attempt == attempt]
    return sorted(groups, key=lambda group: group[-1].number)


def _callback(rows: Sequence[Any]) -> Callback:
    last, ids = rows[-1], tuple(row.id for row in rows)
    return Callback(last.monitor, last.rules, values.from_json(last.config) or {}, ids)


def decided(reader: Reader, callback: Callback) -> list[Decided]:
    """Return a callback's effective decisions, in the order they were taken."""
    columns = DECISION.c
    statement = select(DECISION).where(
        columns.superseded.is_(False), columns.policy_id.in_(callback.ids)
    )
    rows = reader.connection.execute(statement.order_by(columns.attempt, columns.number))
    return [
        Decided(
            row.epoch, row.step, values.join(row.value, row.value_kind), row.verdict, row.reason,
            row.lr_before, row.lr_after, row.path, cause_of(row.state),
        )
        for row in rows
    ]  # fmt: skip


def actors(connection: Connection, policies: Iterable[str]) -> dict[str, str]:
    """Return, of these policies, the one by run that stopped it, else the one that restored weights.

    Decisions of a newer attempt come first, then those of the callback that comes first.
    """
    columns = DECISION.c
    statement = select(
        columns.run_id, columns.attempt, columns.number, columns.policy_id, columns.verdict
    ).where(columns.verdict.in_(("stopped", "restored")), columns.superseded.is_(False))
    chosen: dict[str, tuple[tuple[int, bool, int], str]] = {}
    for row in in_chunks(connection, statement, columns.policy_id, policies):
        rank = (row.attempt, row.verdict == "stopped", -row.number)
        if row.run_id not in chosen or rank > chosen[row.run_id][0]:
            chosen[row.run_id] = rank, row.policy_id
    return {run: policy for run, (_, policy) in chosen.items()}


def by_callback(rows: Iterable[Any]) -> list[list[Any]]:
    """Put the policy rows of one callback together, oldest attempt first.

    A callback is found again in the next attempt by its kind and monitor; of several such, the first is
    the first of the attempt before, and so on.

    Args:
        rows: with ``attempt``, ``number``, ``kind`` and ``monitor``, of one run, in any order.
    """
    found: dict[tuple[str, str | None, int], list[Any]] = {}
    places: Counter[tuple[int, str, str | None]] = Counter()
    for row in sorted(rows, key=lambda row: (row.attempt, row.number)):
        same = row.attempt, row.kind, row.monitor
        found.setdefault((row.kind, row.monitor, places[same]), []).append(row)
        places[same] += 1
    return list(found.values())


def changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the arguments that differ: name → (then, now); not where ``auto`` was only found out."""
    return {
        name: (then[name], value)
        for name, value in now.items()
        if name in then and then[name] != value and not _answers(name, then[name], value)
    }


def _answers(name: str, then: Any, now: Any) -> bool:
    return name == "mode" and "auto" in (then, now)
