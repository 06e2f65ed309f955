"""Statements that are run thousands of times: compiled once for each kind of database, then run by its driver.

SQLAlchemy compiles these statements, from the same tables as all others. What it spends on each execution of its own
(contexts, events, results) is three times what SQLite needs for the rows of an epoch.

`upsert` is INSERT … ON CONFLICT, the same for SQLite and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Dialect, TableClause, bindparam, insert, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.expression import ClauseElement

Values = Mapping[str, Any]
Row = tuple[Any, ...]
Change = Sequence[str] | Callable[[Values], dict[str, Any]]
Condition = ColumnElement[bool]
_AtOnce = Callable[[Sequence[Row]], tuple[str, Row]]

_CURSOR = "tracker_cursor"
_AT_ONCE = 512, 64
"""Rows that one INSERT into SQLite takes: between two statements, another thread that computes has Python for 5 ms."""
_MOST_SIZES = 64
"""How many INSERTs, each of so many rows, are kept as text: an epoch has as many metrics as the one before."""
_MANY_VALUES = 3, 32
"""The release of SQLite that binds more than 999 values in a statement."""


class Prepared:
    """A statement that is compiled once; it runs within the transaction of the connection that it is given.

    What is bound must be plain (text, numbers, booleans, bytes, None): no type of SQLAlchemy converts it.

    Args:
        statement: for any database, or what makes it for a kind of them; no list may be bound in it.
        columns: those of an INSERT or UPDATE that does not name them itself.
    """

    def __init__(
        self,
        statement: ClauseElement | Callable[[str], ClauseElement],
        columns: Iterable[str] | None = None,
    ) -> None:
        self._statement = statement
        self._columns = None if columns is None else list(columns)
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, values: Values) -> None:
        """Run it once.

        Raises:
            sqlalchemy.exc.DBAPIError: as `Connection.execute` does, with the driver's own as its cause.
        """
        self._run(connection, values, _execute)

    def run_each(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Run it once for each row, whose values are those of its columns, in their order; raises as `run` does."""
        if rows:
            self._run(connection, rows, _execute_each)

    def first(self, connection: Connection, values: Values) -> Any:
        """Run it once, and return the first row as a tuple, or None; raises as `run` does."""
        return self._run(connection, values, _first)

    def add(self, connection: Connection, values: Values) -> Any:
        """Run an INSERT, and return the key that the database has given the row; raises as `run` does."""
        return self._run(connection, values, _added)

    def _run(self, connection: Connection, values: Any, how: Callable[..., Any]) -> Any:
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            statement = self._statement
            if not isinstance(statement, ClauseElement):
                statement = statement(dialect.name)
            compiled = self._compiled[dialect.name] = _compiled(statement, dialect, self._columns)
        try:
            return how(_cursor(connection), compiled, values)
        except dialect.loaded_dbapi.Error as error:
            raise DBAPIError.instance(
                compiled.sql, None, error, dialect.loaded_dbapi.Error, dialect=dialect
            ) from error


def _cursor(connection: Connection) -> Any:
    """Return the one cursor that these statements have on a connection: making one costs more than some of them."""
    cursor = connection.info.get(_CURSOR)
    if cursor is None:
        cursor = connection.info[_CURSOR] = connection.connection.cursor()
    return cursor


def _execute(cursor: Any, compiled: _Compiled, values: Values) -> None:
    cursor.execute(compiled.sql, compiled.bind(values))


def _execute_each(cursor: Any, compiled: _Compiled, rows: Sequence[Row]) -> None:
    at_once, bind = compiled.at_once, compiled.bind_row
    if at_once is None:
        cursor.executemany(compiled.sql, rows if bind is None else map(bind, rows))
        return
    for size in _AT_ONCE:
        while len(rows) >= size:
            cursor.execute(*at_once(rows[:size]))
            rows = rows[size:]
    if rows:
        cursor.execute(*at_once(rows))


def _first(cursor: Any, compiled: _Compiled, values: Values) -> Any:
    cursor.execute(compiled.sql, compiled.bind(values))
    # All of them: a statement that is not read to its end would keep SQLite's read lock.
    rows = cursor.fetchall()
    return rows[0] if rows else None


def _added(cursor: Any, compiled: _Compiled, values: Values) -> Any:
    cursor.execute(compiled.sql, compiled.bind(values))
    # PostgreSQL's statement was compiled with RETURNING, which SQLite's does without.
    return cursor.lastrowid if cursor.description is None else cursor.fetchone()[0]


class _Compiled(NamedTuple):
    """A statement for one kind of database: its SQL, and what makes the driver's arguments.

    ``bind`` makes them of values by name; ``bind_row`` of a tuple, None where that is what the driver takes.
    ``at_once`` gives the SQL for all of several tuples, and what the driver takes for it; None where a statement
    takes one only.
    """

    sql: str
    bind: Callable[[Values], Any]
    bind_row: Callable[[Row], Any] | None
    at_once: _AtOnce | None = None


def _compiled(statement: ClauseElement, dialect: Dialect, columns: list[str] | None) -> _Compiled:
    compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
    constants = {
        name: value for name, value in compiled.params.items() if not compiled.binds[name].required
    }
    constants |= {column.key: column.default.arg for column in compiled.insert_prefetch}

    given = [*(columns or ()), *constants]
    fixed = tuple(constants.values())
    if not compiled.positional:
        return _Compiled(
            compiled.string,
            lambda values: {**constants, **values},
            lambda row: dict(zip(given, row + fixed, strict=True)),
        )
    names: list[str] = list(compiled.positiontup)
    bind = _getter(names)
    bind_row = None
    if (fixed or names != given) and set(names) <= set(given):
        arrange = _getter([given.index(name) for name in names])
        bind_row = (lambda row: arrange(row + fixed)) if fixed else arrange
    at_once = None
    if getattr(dialect.loaded_dbapi, "sqlite_version_info", ()) >= _MANY_VALUES:
        at_once = _repeated(compiled.string, names, list(columns or ()), constants)
    if constants:
        return _Compiled(
            compiled.string, lambda values: bind({**constants, **values}), bind_row, at_once
        )
    return _Compiled(compiled.string, bind, bind_row, at_once)


def _repeated(sql: str, names: list[str], columns: list[str], constants: Values) -> _AtOnce | None:
    """Return what makes an INSERT of several rows of one of a single row; None for any other statement."""
    row = f"({', '.join('?' * len(columns))})"
    head, found, tail = sql.partition(f" VALUES {row}")
    own, others = names[: len(columns)], names[len(columns) :]
    if not found or set(own) != set(columns) or not set(others) <= set(constants):
        return None
    arrange = None if own == columns else _getter([columns.index(name) for name in own])
    last = tuple(map(constants.__getitem__, others))

    @lru_cache(maxsize=_MOST_SIZES)
    def several(size: int) -> str:
        return f"{head} VALUES {', '.join([row] * size)}{tail}"

    def at_once(rows: Sequence[Row]) -> tuple[str, Row]:
        in_order = rows if arrange is None else map(arrange, rows)
        return several(len(rows)), (*chain.from_iterable(in_order), *last)

    return at_once


def _getter(keys: Sequence[Any]) -> Callable[[Any], Any]:
    """Return what gives the values under these keys as a tuple."""
    if len(keys) > 1:
        return itemgetter(*keys)
    if not keys:
        return lambda values: ()
    return lambda values: tuple(values[key] for key in keys)


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
) -> None:
    """Insert rows; where ``key`` exists already, set the columns of ``change`` (none: leave the row alone)."""
    if rows:
        columns = tuple(rows[0])
        if not callable(change):
            change = tuple(change)
        plain = list(map(_getter(columns), rows))
        _upsert_of(table, columns, key, change).run_each(connection, plain)


def upserting(
    table: TableClause,
    columns: tuple[str, ...],
    key: tuple[str, ...],
    change: Change,
    *,
    only: Condition | None = None,
) -> Prepared:
    """Return a statement that upserts each of the rows that `Prepared.run_each` is given.

    A row for which ``only`` does not hold is left alone.
    """
    return Prepared(
        lambda dialect: _insert_or_change(dialect, table, key, change, only),
        columns,
    )


@lru_cache(maxsize=128)
def _upsert_of(
    table: TableClause,
    columns: tuple[str, ...],
    key: tuple[str, ...],
    change: Any,
) -> Prepared:
    return upserting(table, columns, key, change)


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
