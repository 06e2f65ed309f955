"""The callbacks that a run had, through all its attempts: their settings and what they decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from tracker import values
from tracker.models import CHECKPOINT, DECISION, POLICY
from tracker.states import VerdictWord
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.decision_state import cause_of


@dataclass(frozen=True)
class RecordedCallback:
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


def callbacks(reader: Reader, runs: Sequence[str], kind: str) -> dict[str, list[RecordedCallback]]:
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


def _callback(rows: Sequence[Any]) -> RecordedCallback:
    last, ids = rows[-1], tuple(row.id for row in rows)
    config = values.from_json(last.config) or {}
    return RecordedCallback(monitor=last.monitor, rules=last.rules, config=config, ids=ids)


def decided(reader: Reader, callback: RecordedCallback) -> list[Decided]:
    """Return a callback's effective decisions, in the order they were taken."""
    columns = DECISION.c
    statement = select(DECISION).where(
        columns.superseded.is_(False), columns.policy_id.in_(callback.ids)
    )
    rows = reader.connection.execute(statement.order_by(columns.attempt, columns.number))
    return [
        Decided(
            epoch=row.epoch, step=row.step, value=values.join(row.value, row.value_kind),
            verdict=row.verdict, reason=row.reason, lr_before=row.lr_before, lr_after=row.lr_after,
            path=row.path, cause=cause_of(row.state),
        )
        for row in rows
    ]  # fmt: skip


def file_sizes(
    reader: Reader, callback: RecordedCallback
) -> dict[tuple[int | None, int | None], int]:
    """Return the bytes of the files that a callback saved, the newest of each epoch and step."""
    columns = CHECKPOINT.c
    statement = select(columns.epoch, columns.step, columns.bytes).where(
        columns.policy_id.in_(callback.ids)
    )
    rows = reader.connection.execute(statement.order_by(columns.attempt, columns.created))
    return {(row.epoch, row.step): row.bytes for row in rows}


def actors(connection: Connection, policies: Iterable[str]) -> dict[str, str]:
    """Return, by run, which of these policies stopped it, else which one restored weights.

    Decisions of a newer attempt come first, then those of the callback that comes first.
    """
    columns = DECISION.c
    statement = select(
        columns.run_id, columns.attempt, columns.number, columns.policy_id, columns.verdict
    ).where(
        columns.verdict.in_((VerdictWord.STOPPED, VerdictWord.RESTORED)),
        columns.superseded.is_(False),
    )
    first: dict[str, Any] = {}
    for decision in in_chunks(connection, statement, columns.policy_id, policies):
        run = decision.run_id
        if run not in first or _rank(decision) > _rank(first[run]):
            first[run] = decision
    return {run: decision.policy_id for run, decision in first.items()}


def _rank(decision: Any) -> tuple[int, bool, int]:
    return decision.attempt, decision.verdict == VerdictWord.STOPPED, -decision.number


def by_callback(rows: Iterable[Any]) -> list[list[Any]]:
    """Group the policy rows by callback, oldest attempt first.

    A callback is recognized in the next attempt by its kind and monitor; of several such, the first is
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
    """Return the arguments that differ: name → (then, now); not where ``auto`` was only resolved."""
    return {
        name: (then[name], value)
        for name, value in now.items()
        if name in then and then[name] != value and not _resolves_auto(name, then[name], value)
    }


def _resolves_auto(name: str, then: Any, now: Any) -> bool:
    return name == "mode" and "auto" in (then, now)
