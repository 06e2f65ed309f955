"""What a query returns: rows with named columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Any, Literal, get_type_hints

import sqlalchemy

from tracker.models import column_kind

Kind = Literal["text", "integer", "optional", "number", "time", "flag", "any"]
"""What cells hold: ``integer`` is never None, ``optional`` is an integer or None, ``time`` is µs since 1970 UTC."""


@dataclass(frozen=True)
class Column:
    """A column's name, and what its cells are."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Listing:
    """Columns and rows; a cell without a value is None.

    Attributes:
        columns: names and kinds.
        rows: cells in the order of the columns.
        total: how many rows there are when no limit is given; None where nobody counted them.
    """

    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Any]] = ()
    total: int | None = None

    @classmethod
    def from_dicts(cls, columns: tuple[Column, ...], rows: Iterable[Mapping[str, Any]]) -> Listing:
        """Return a listing of rows that name their cells; what is not a column is left out.

        Raises:
            KeyError: for a row without one of the columns.
        """
        if len(columns) == 1:
            return cls(columns, [(row[columns[0].name],) for row in rows])
        return cls(columns, list(map(itemgetter(*(column.name for column in columns)), rows)))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    def cells(self, name: str) -> list[Any]:
        """Return the cells of one column."""
        place = self.names.index(name)
        return [row[place] for row in self.rows]

    def dicts(self) -> Iterator[dict[str, Any]]:
        """Yield each row as a dict."""
        names = self.names
        return (dict(zip(names, row, strict=True)) for row in self.rows)


def columns(*listed: sqlalchemy.Column[Any] | Column) -> tuple[Column, ...]:
    """Return the columns of a listing: those of a table as the schema has them, derived ones as they are given."""
    return tuple(one if isinstance(one, Column) else _of_table(one) for one in listed)


def _of_table(column: sqlalchemy.Column[Any]) -> Column:
    kind: Kind = column_kind(column)
    return Column(column.name, "optional" if kind == "integer" and column.nullable else kind)


_KINDS: dict[Any, Kind] = {str: "text", int: "integer", int | None: "optional", bool: "flag"}


def listing_of(record: type[Any], rows: Iterable[Any]) -> Listing:
    """Return instances of a dataclass as a listing, a column per field; fields of other types are numbers."""
    kinds = get_type_hints(record)
    names = [field.name for field in fields(record)]
    heads = tuple(Column(name, _KINDS.get(kinds[name], "number")) for name in names)
    return Listing(heads, [[getattr(row, name) for name in names] for row in rows])


def metric_titles(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Name a column for each metric: its own name, or ``metrics.<name>`` where another column has that name."""
    others, metrics = set(taken), dict.fromkeys(names)

    def is_taken(name: str) -> bool:
        shorter = name.removeprefix("metrics.")
        return name in others or (shorter != name and shorter in metrics and is_taken(shorter))

    return {name: f"metrics.{name}" if is_taken(name) else name for name in metrics}


_EXACT = 2**53  # integers up to here are doubles, too


def common_kind(values: Iterable[Any]) -> Kind:
    """Return the kind of column that holds all the values exactly."""
    values = list(values)
    types = {type(value) for value in values if value is not None}
    if types == {bool}:
        return "any" if None in values else "flag"
    if types == {str}:
        return "text"
    if types == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return "optional" if None in values else "integer"
    if types == {float}:
        return "number"
    if types == {int, float} and all(not isinstance(v, int) or abs(v) <= _EXACT for v in values):
        return "number"
    return "any"
