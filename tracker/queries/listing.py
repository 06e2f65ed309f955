"""What a query gives: rows with named columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_type_hints


@dataclass(frozen=True)
class Column:
    """A column's name, and what its cells are.

    ``kind`` is text, integer (never None), optional (an integer or None), number, time (µs since
    1970-01-01 UTC), flag, or any.
    """

    name: str
    kind: str


@dataclass(frozen=True)
class Listing:
    """Columns and rows; a cell without a value is None."""

    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Any]] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    def dicts(self) -> Iterator[dict[str, Any]]:
        """Give each row as a dict."""
        names = self.names
        return (dict(zip(names, row, strict=True)) for row in self.rows)


_SIGNS = {".": "text", "#": "integer", "~": "optional", "!": "time", "?": "flag", "*": "any"}


def columns(words: str) -> tuple[Column, ...]:
    """Read column names; a sign at the end tells the kind, none is a number."""
    return tuple(
        Column(word.rstrip(".#~!?*"), _SIGNS.get(word[-1], "number")) for word in words.split()
    )


_KINDS = {str: "text", int: "integer", int | None: "optional", bool: "flag"}


def listing_of(record: type[Any], rows: Iterable[Any]) -> Listing:
    """Return instances of a dataclass as a listing, a column a field; other fields than these are numbers."""
    kinds = get_type_hints(record)
    names = [field.name for field in fields(record)]
    heads = tuple(Column(name, _KINDS.get(kinds[name], "number")) for name in names)
    return Listing(heads, [[getattr(row, name) for name in names] for row in rows])


def settled(names: Iterable[str], taken: Iterable[str], scope: str = "metrics") -> dict[str, str]:
    """Name a column for each metric: its own name, or ``metrics.<name>`` where a column has that already."""
    there = set(taken)
    return {name: f"{scope}.{name}" if name in there else name for name in names}


_EXACT = 2**53  # integers up to here are doubles, too


def kind_of(values: Iterable[Any]) -> str:
    """Return the kind of `tracker.queries.listing.Column` that holds all the values exactly."""
    values = list(values)
    there = {type(value) for value in values if value is not None}
    if there == {bool}:
        return "any" if None in values else "flag"
    if there == {str}:
        return "text"
    if there == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return "optional" if None in values else "integer"
    if there == {float}:
        return "number"
    if there == {int, float} and all(not isinstance(v, int) or abs(v) <= _EXACT for v in values):
        return "number"
    return "any"
