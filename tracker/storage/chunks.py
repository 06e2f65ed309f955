"""Long lists of keys in parts: SQLite before 3.32 takes 999 values in a statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import Connection, Select
from sqlalchemy.exc import DBAPIError

Key = TypeVar("Key")


CHUNK = 500  # values in one IN (…)


def in_parts(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    """Split keys into parts of at most `CHUNK`."""
    return (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))


_FETCHED = 5000  # rows taken from the driver at once: one by one they cost twice as much


def in_chunks(
    connection: Connection, statement: Select[Any], column: Any, keys: Iterable[Any] | None
) -> Iterator[Any]:
    """Run a statement for those rows whose ``column`` is one of ``keys``; for all rows when keys are None."""
    if keys is None:
        yield from _rows(connection, statement)
        return
    for some in in_parts(list(keys)):
        yield from _rows(connection, statement.where(column.in_(some)))


def _rows(connection: Connection, statement: Select[Any]) -> Iterator[Any]:
    return chain.from_iterable(connection.execute(statement).partitions(_FETCHED))


def plain_rows(
    connection: Connection, statement: Select[Any], column: Any, keys: Iterable[Any] | None
) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Do the same as `in_chunks`; yield lists of rows as the driver makes them: SQLAlchemy's own cost as much again.

    The columns must be plain (text, numbers, bytes, None): no type of SQLAlchemy converts them.

    Raises:
        sqlalchemy.exc.DBAPIError: as `Connection.execute` does, with the driver's own as its cause.
    """
    parts = [statement]
    if keys is not None:
        parts = [statement.where(column.in_(some)) for some in in_parts(list(keys))]
    driver_error = connection.dialect.loaded_dbapi.Error
    for part in parts:
        with connection.execute(part) as result:
            cursor: Any = result.cursor
            try:
                while rows := cursor.fetchmany(_FETCHED):
                    yield rows
            except driver_error as error:
                raise DBAPIError.instance(
                    str(part), None, error, driver_error, dialect=connection.dialect
                ) from error
