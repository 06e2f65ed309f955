"""Decisions, one row each: what a callback judged at an epoch, and why."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import select

from tracker.errors import BadValue, nearest
from tracker.filters.fields import DecisionFields
from tracker.models import DECISION, POLICY, RUN
from tracker.queries.resolve import labels_of
from tracker.queries.result import Column, Listing, columns
from tracker.queries.selection import Order, Selection, of_run, selected_rows
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.values import from_json, join

COLUMNS = columns(
    Column("run", "text"), DECISION.c.epoch, DECISION.c.step, Column("policy", "text"), DECISION.c.monitor,
    DECISION.c.value, DECISION.c.best, DECISION.c.best_epoch, DECISION.c.wait,
    Column("patience", "optional"), DECISION.c.verdict, DECISION.c.reason, DECISION.c.lr_before,
    DECISION.c.lr_after, DECISION.c.path, DECISION.c.attempt, DECISION.c.decided,
)  # fmt: skip
_SUPERSEDED = columns(DECISION.c.superseded)


def decisions(
    reader: Reader,
    ids: Sequence[str] | None = None,
    *,
    policy: str | None = None,
    verdict: str | None = None,
    superseded: bool = False,
    where: str | None = None,
    order_by: Order = None,
    limit: int | None = None,
) -> Listing:
    """Return decisions with `COLUMNS`, in the order they were taken, run by run.

    Args:
        reader: an open database.
        ids: of these runs; None for all.
        policy: of the callbacks of this class name only.
        verdict: with this verdict only.
        superseded: also those of epochs that a later attempt repeated, in a column of that name.
        where: a filter.
        order_by: sort keys.
        limit: at most so many.

    Raises:
        BadValue: for a policy that none of the runs has; names those that do.
    """
    selection = Selection(ids, where, order_by, limit)
    listed = (*COLUMNS, *(_SUPERSEDED if superseded else ()))
    if reader.empty:
        selection.check()
        return Listing(listed)
    statement = (
        select(DECISION, POLICY.c.kind.label("policy"), POLICY.c.config)
        .join_from(RUN, DECISION, of_run(DECISION, order_by))
        .join(POLICY, DECISION.c.policy_id == POLICY.c.id)
    )
    if policy is not None:
        _check_policy(reader, ids, policy)
        statement = statement.where(POLICY.c.kind == policy)
    if verdict is not None:
        statement = statement.where(DECISION.c.verdict == verdict)
    if not superseded:
        statement = statement.where(DECISION.c.superseded.is_(False))
    order = DECISION.c.attempt, DECISION.c.number
    rows = selected_rows(reader, statement, DECISION, DecisionFields, selection, *order)
    called = labels_of(reader.connection, list({row.run_id: None for row in rows}), ids)
    return Listing.from_dicts(listed, (_row(row, called[row.run_id]) for row in rows))


def _row(decision: Any, run: str) -> dict[str, Any]:
    return {
        **decision._mapping,
        "run": run,
        "value": join(decision.value, decision.value_kind),
        "best": join(decision.best, decision.best_kind),
        "patience": patience(decision.config),
    }


@lru_cache(maxsize=256)
def patience(config: str) -> int | None:
    """Return the patience in a policy's configuration."""
    value = (from_json(config) or {}).get("patience")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _check_policy(reader: Reader, ids: Sequence[str] | None, policy: str) -> None:
    statement = select(POLICY.c.kind).distinct().order_by(POLICY.c.kind)
    rows = in_chunks(reader.connection, statement, POLICY.c.run_id, ids)
    kinds = list(dict.fromkeys(row.kind for row in rows))
    if policy not in kinds:
        raise BadValue(
            f"No policy {policy!r} decided anything here: {nearest(policy, kinds, most=20)}"
        )
