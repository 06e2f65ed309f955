"""Statements that are run thousands of times: compiled once for each kind of database, then run by its driver.

`upsert` is INSERT … ON CONFLICT, the same for SQLite and PostgreSQL.

SQLAlchemy compiles them, from the same tables as all others. What it spends on each execution of its own (contexts,
events, results) is three times what SQLite needs for the rows of an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, TableClause, bindparam, insert, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.expression import ClauseElement

Values = Mapping[str, Any]
Bind = Callable[[Values], Any]
Change = Sequence[str] | Callable[[Values], dict[str, Any]]
Condition = ColumnElement[bool]


class Prepared:
    """A statement that is compiled once; it runs within the transaction of the connection that it is given.

    What is bound must be plain (text, numbers, booleans, bytes, None): no type of SQLAlchemy converts it.

    Args:
        statement: for any database; no list may be bound in it.
        columns: those of an INSERT or UPDATE that does not name them itself.
    """

    def __init__(self, statement: ClauseElement, columns: Iterable[str] | None = None) -> None:
        self._statement = statement
        self._columns = None if columns is None else list(columns)
        self._compiled: dict[str, tuple[str, Bind]] = {}

    def run(self, connection: Connection, values: Values) -> None:
        """Run it once.

        Raises:
            sqlalchemy.exc.DBAPIError: as `Connection.execute` does, with the driver's own as its cause.
        """
        self._run(connection, values, _execute)

    def run_each(self, connection: Connection, rows: Iterable[Values]) -> None:
        """Run it once for each row; raises as `run` does."""
        self._run(connection, rows, _execute_each)

    def first(self, connection: Connection, values: Values) -> Any:
        """Run it once, and return the first row as a tuple, or None; raises as `run` does."""
        return self._run(connection, values, _first)

    def _run(self, connection: Connection, values: Any, how: Callable[..., Any]) -> Any:
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _compiled(
                self._statement, dialect, self._columns
            )
        cursor = connection.connection.cursor()
        try:
            return how(cursor, *compiled, values)
        except dialect.loaded_dbapi.Error as error:
            raise DBAPIError.instance(
                compiled[0], None, error, dialect.loaded_dbapi.Error, dialect=dialect
            ) from error
        finally:
            cursor.close()


def _execute(cursor: Any, sql: str, bind: Bind, values: Values) -> None:
    cursor.execute(sql, bind(values))


def _execute_each(cursor: Any, sql: str, bind: Bind, rows: Iterable[Values]) -> None:
    cursor.executemany(sql, [bind(row) for row in rows])


def _first(cursor: Any, sql: str, bind: Bind, values: Values) -> Any:
    cursor.execute(sql, bind(values))
    return cursor.fetchone()


def _compiled(
    statement: ClauseElement, dialect: Dialect, columns: list[str] | None
) -> tuple[str, Bind]:
    """Return a statement's SQL, and what makes the driver's arguments of values by name."""
    compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
    constants = {
        name: value for name, value in compiled.params.items() if not compiled.binds[name].required
    }
    constants |= {column.key: column.default.arg for column in compiled.insert_prefetch}
    if not compiled.positional:
        return compiled.string, lambda values: {**constants, **values}
    names: Sequence[str] = compiled.positiontup
    if len(names) < 2:
        return compiled.string, lambda values: [values[name] for name in names]
    named = itemgetter(*names)
    return compiled.string, (lambda values: named({**constants, **values})) if constants else named


def insert_row(connection: Connection, table: TableClause, row: Values) -> None:
    """Insert one row; raises as `Prepared.run` does."""
    _insertion(table, tuple(row)).run(connection, row)


def update_row(connection: Connection, table: TableClause, row_id: str, values: Values) -> None:
    """Change columns of the row that has an ``id``; raises as `Prepared.run` does."""
    _change(table, tuple(values)).run(connection, {**values, "row_id": row_id})


@lru_cache(maxsize=64)
def _insertion(table: TableClause, columns: tuple[str, ...]) -> Prepared:
    return Prepared(insert(table), columns)


@lru_cache(maxsize=64)
def _change(table: TableClause, columns: tuple[str, ...]) -> Prepared:
    return Prepared(update(table).where(table.c.id == bindparam("row_id")), columns)


def upsert(
    connection: Connection,
    table: TableClause,
    rows: Sequence[Values],
    key: tuple[str, ...],
    change: Change,
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
    statement = _upserting(connection.dialect.name, table, tuple(rows[0]), key, change, only)
    statement.run_each(connection, rows)


@lru_cache(maxsize=128)
def _upserting(
    dialect: str,
    table: TableClause,
    columns: tuple[str, ...],
    key: tuple[str, ...],
    change: Any,
    only: Condition | None,
) -> Prepared:
    return Prepared(_insert_or_change(dialect, table, key, change, only), columns)


def _insert_or_change(
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
