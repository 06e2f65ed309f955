"""What a query returns: rows with named columns."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Any, Literal, get_type_hints, overload

import sqlalchemy

from tracker.models import column_kind

Kind = Literal["text", "integer", "optional", "number", "time", "flag", "boolean", "any"]
"""What cells hold: ``integer`` and ``flag`` are never None, ``optional`` is an integer or None, ``boolean`` true, false
or None, ``time`` is µs since 1970 UTC."""


@dataclass(frozen=True)
class Column:
    """A column's name, and what its cells are."""

    name: str
    kind: Kind


class ByColumn(Sequence[Sequence[Any]]):
    """Rows that are kept as columns: a row is made when it is asked for.

    Args:
        columns: the cells of each, all of one length.
    """

    def __init__(self, columns: Sequence[Sequence[Any]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[Sequence[Any]]:
        return zip(*self.columns, strict=True)

    @overload
    def __getitem__(self, place: int) -> Sequence[Any]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Sequence[Any]]: ...
    def __getitem__(self, place: int | slice) -> Any:
        cells = [column[place] for column in self.columns]
        return tuple(cells) if isinstance(place, int) else ByColumn(cells)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and [*self] == [*other]


@dataclass(frozen=True)
class Listing:
    """Columns and rows; a cell without a value is None.

    Attributes:
        columns: names and kinds.
        rows: cells in the order of the columns.
        total: how many rows there are when no limit is given; None where nobody counted them.
        runs: the ids of the runs that the rows are about, where a name would not do: several runs may have it.
    """

    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Any]] = ()
    total: int | None = None
    runs: Sequence[str] | None = None

    @classmethod
    def from_dicts(
        cls,
        columns: tuple[Column, ...],
        rows: Iterable[Mapping[str, Any]],
        *,
        run: str | None = None,
    ) -> Listing:
        """Return a listing of rows that name their cells; what is not a column is left out.

        Args:
            columns, rows: the listing.
            run: which of a row's names holds the id of its run, for `runs`.

        Raises:
            KeyError: for a row without one of the columns.
        """
        runs = None
        if run is not None:
            rows = list(rows)
            runs = [row[run] for row in rows]
        if len(columns) == 1:
            return cls(columns, [(row[columns[0].name],) for row in rows], runs=runs)
        cells = map(itemgetter(*(column.name for column in columns)), rows)
        return cls(columns, list(cells), runs=runs)

    def first(self, limit: int | None) -> Listing:
        """Return the first rows; ``total`` is how many there are without the limit."""
        runs = None if self.runs is None else self.runs[:limit]
        return Listing(self.columns, self.rows[:limit], len(self.rows), runs)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    def cells(self, name: str) -> list[Any]:
        """Return the cells of one column."""
        place = self.names.index(name)
        return [row[place] for row in self.rows]

    def by_column(self) -> Sequence[Sequence[Any]]:
        """Return the cells of each column."""
        if isinstance(self.rows, ByColumn):
            return self.rows.columns
        return list(zip(*self.rows, strict=True)) or [()] * len(self.columns)

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


_METRICS = "metrics."


def metric_titles(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Name a column for each metric: its own name, or ``metrics.<name>`` where another column has that name.

    So it is with a metric whose name would be such a title, whether or not there is one: no two titles are the
    same, and none depends on which other metrics there are.
    """
    others = set(taken)
    return {name: f"{_METRICS}{name}" if _bare(name, others) in others else name for name in names}


def _bare(name: str, taken: Collection[str]) -> str:
    """Return a name without the beginnings that make it look like a title of a taken one."""
    while name not in taken and name.startswith(_METRICS):
        name = name.removeprefix(_METRICS)
    return name


_EXACT = 2**53  # integers up to here are doubles, too


def common_kind(values: Iterable[Any]) -> Kind:
    """Return the kind of column that holds all the values exactly; whether some are None makes no difference."""
    if isinstance(values, array):
        return "number"
    values = list(values)
    types = set(map(type, values)) - {type(None)}
    if types == {bool}:
        return "boolean"
    if types == {str}:
        return "text"
    if types == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return "optional"
    if types == {float}:
        return "number"
    if types == {int, float} and all(not isinstance(v, int) or abs(v) <= _EXACT for v in values):
        return "number"
    return "any"
