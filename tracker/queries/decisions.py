"""Decisions, a row each: what a callback judged at an epoch, and why."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import select

from tracker.errors import BadValue, nearest
from tracker.filters.fields import DecisionFields
from tracker.models import DECISION, POLICY, RUN
from tracker.queries.listing import Listing, columns
from tracker.queries.resolve import labels
from tracker.queries.runs import Order, check_limit, check_syntax
from tracker.queries.selection import Asked, chosen_rows
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.values import from_json, join

COLUMNS = columns(
    "run. epoch# step~ policy. monitor. value best best_epoch~ wait~ patience~ verdict. reason. "
    "lr_before lr_after path. attempt# decided!"
)
_SUPERSEDED = columns("superseded?")


def decisions(
    reader: Reader,
    ids: Sequence[str] | None = None,
    *,
    policy: str | None = None,
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
        superseded: also those of epochs that a later attempt repeated, in a column of that name.
        where: a filter.
        order_by: sort keys.
        limit: at most so many.

    Raises:
        BadValue: for a policy that none of the runs has; names those there are.
    """
    check_limit(limit)
    base = (*COLUMNS, *(_SUPERSEDED if superseded else ()))
    if reader.empty:
        check_syntax(where, order_by)
        return Listing(base)
    statement = (
        select(DECISION, POLICY.c.kind.label("policy"), POLICY.c.config)
        .join_from(DECISION, RUN, DECISION.c.run_id == RUN.c.id)
        .join(POLICY, DECISION.c.policy_id == POLICY.c.id)
    )
    if policy is not None:
        _check_policy(reader, ids, policy)
        statement = statement.where(POLICY.c.kind == policy)
    if not superseded:
        statement = statement.where(DECISION.c.superseded.is_(False))
    asked, order = Asked(ids, where, order_by, limit), (DECISION.c.attempt, DECISION.c.number)
    rows = chosen_rows(reader, statement, DECISION, DecisionFields, asked, *order)
    called = labels(reader.connection, list({row.run_id: None for row in rows}))
    return Listing(base, [_row(row, called, superseded) for row in rows])


def _row(row: Any, called: dict[str, str], superseded: bool) -> tuple[Any, ...]:
    return (
        called[row.run_id], row.epoch, row.step, row.policy, row.monitor,
        join(row.value, row.value_kind), join(row.best, row.best_kind), row.best_epoch, row.wait,
        patience(row.config), row.verdict, row.reason, row.lr_before, row.lr_after, row.path, row.attempt, row.decided,
        *((row.superseded,) if superseded else ()),
    )  # fmt: skip


@lru_cache(maxsize=256)
def patience(config: str) -> int | None:
    """Return the patience in a policy's configuration."""
    value = (from_json(config) or {}).get("patience")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _check_policy(reader: Reader, ids: Sequence[str] | None, policy: str) -> None:
    statement = select(POLICY.c.kind).distinct().order_by(POLICY.c.kind)
    kinds = [kind for (kind,) in in_chunks(reader.connection, statement, POLICY.c.run_id, ids)]
    if policy not in kinds:
        raise BadValue(
            f"No policy {policy!r} decided anything here: {nearest(policy, kinds, most=20)}"
        )
