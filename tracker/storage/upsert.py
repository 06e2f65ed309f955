"""INSERT … ON CONFLICT, the same for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, TableClause

from tracker.storage.prepared import Prepared

Update = Sequence[str] | Callable[[Mapping[str, Any]], dict[str, Any]]
Condition = ColumnElement[bool]


def upsert(
    connection: Connection,
    table: TableClause,
    rows: Sequence[Mapping[str, Any]],
    key: tuple[str, ...],
    change: Update,
    *,
    only: Condition | None = None,
) -> None:
    """Insert rows; where ``key`` exists already, set the columns of ``change`` (none: leave the row alone).

    A row for which ``only`` does not hold is left alone, too.
    """
    if not rows:
        return
    if not callable(change):
        change = tuple(change)
    statement = _statement(connection.dialect.name, table, tuple(rows[0]), key, change, only)
    statement.run_each(connection, rows)


@lru_cache(maxsize=128)
def _statement(
    dialect: str,
    table: TableClause,
    columns: tuple[str, ...],
    key: tuple[str, ...],
    change: Any,
    only: Condition | None,
) -> Prepared:
    return Prepared(_insert(dialect, table, key, change, only), columns)


def _insert(
    dialect: str, table: TableClause, key: tuple[str, ...], change: Any, only: Condition | None
) -> Any:
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    statement = insert(table)
    new = statement.excluded
    if callable(change):
        return statement.on_conflict_do_update(index_elements=key, set_=change(new), where=only)
    if not change:
        return statement.on_conflict_do_nothing(index_elements=key)
    return statement.on_conflict_do_update(
        index_elements=key, set_={name: new[name] for name in change}, where=only
    )
