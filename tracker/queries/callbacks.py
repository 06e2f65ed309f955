"""The callbacks that a run had, through all its attempts: their settings and what they decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from tracker import values
from tracker.database import Reader
from tracker.queries.listing import in_chunks
from tracker.tables import DECISION, POLICY


@dataclass(frozen=True)
class Callback:
    """A callback with the settings of the newest attempt; ``ids`` are its policies in all of them."""

    monitor: str | None
    rules: str | None
    config: Mapping[str, Any]
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Decided:
    """What a callback decided at an epoch."""

    epoch: int
    step: int | None
    value: float | None
    verdict: str
    reason: str
    lr_before: float | None
    lr_after: float | None
    path: str | None


def callbacks(reader: Reader, runs: Sequence[str], kind: str) -> dict[str, list[Callback]]:
    """Return the callbacks of a kind that each run's newest such attempt had, in their order.

    Of several that look at one metric the first is the first of the attempt before, and so on.
    """
    statement = (
        select(POLICY).where(POLICY.c.kind == kind).order_by(POLICY.c.attempt, POLICY.c.number)
    )
    attempts: dict[str, dict[int, list[Any]]] = {}
    for row in in_chunks(reader.connection, statement, POLICY.c.run_id, runs):
        attempts.setdefault(row.run_id, {}).setdefault(row.attempt, []).append(row)
    return {run: _through(list(of_run.values())) for run, of_run in attempts.items()}


def _through(attempts: Sequence[Sequence[Any]]) -> list[Callback]:
    ids: dict[tuple[str | None, int], list[str]] = {}
    keys: list[tuple[str | None, int]] = []
    for group in attempts:
        keys = []
        for row in group:
            keys.append((row.monitor, sum(monitor == row.monitor for monitor, _ in keys)))
            ids.setdefault(keys[-1], []).append(row.id)
    return [
        Callback(row.monitor, row.rules, values.from_json(row.config) or {}, tuple(ids[key]))
        for row, key in zip(attempts[-1], keys, strict=True)
    ]


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
            row.lr_before, row.lr_after, row.path,
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
