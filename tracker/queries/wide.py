"""What many runs have besides their own columns: tags, params, metrics and captured facts, one column per name.

A hundred thousand runs have millions of them, and each row that comes from a database costs more than what is in it.
So the database joins what a run has to one row: its names with a character between them, and so its values.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableSequence,
    Sequence,
)
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, case, func, literal, select

from tracker.filters.compile import Condition
from tracker.filters.fields import names_by_index
from tracker.models import SUMMARY, TAG
from tracker.storage.chunks import in_chunks
from tracker.storage.directions import Directions
from tracker.values import join, param_decode

Cells = dict[str, list[Any]]
"""Name → a cell for each run; None where a run has no such value."""

_BETWEEN = "\x1f"
"""Separates what is joined. A run that has it in a name or a value is read value by value."""

_MOST_METRICS = 60
"""More than these are read row by row: the database looks at each of them for every row."""


_READ_AT_ONCE = 2000
"""Runs whose joined values are taken apart by one call."""


class _Layout:
    """Runs whose names and kinds are the same, and what they have; most runs of a sweep have one layout.

    Floats are kept as eight bytes each and become objects when a column is made, one behind the other in memory:
    a hundred thousand that are looked for all over it cost several times as much.

    Args:
        names: the columns.
        decoders: read the text of each of them.
    """

    def __init__(self, names: Sequence[str], decoders: Sequence[Callable[[str], Any]]) -> None:
        self.names = names
        self._decoders = decoders
        self._cells: list[MutableSequence[Any]] = [
            array("d") if decode is float else [] for decode in decoders
        ]
        self._places: list[int] = []
        self._unread: list[str] = []

    def add(self, place: int, joined: str) -> bool:
        """Take the values of a run; False where a value has the separator."""
        if joined.count(_BETWEEN) != len(self.names) - 1:
            return False
        self._places.append(place)
        self._unread.append(joined)
        if len(self._unread) == _READ_AT_ONCE:
            self._read()
        return True

    def _read(self) -> None:
        texts = _BETWEEN.join(self._unread).split(_BETWEEN) if self._unread else []
        for column, (cells, decode) in enumerate(zip(self._cells, self._decoders, strict=True)):
            cells.extend(map(decode, texts[column :: len(self.names)]))
        self._unread.clear()

    def fill(self, columns: Cells, runs: int) -> None:
        """Put the values into the columns, which have a cell for each of the runs."""
        self._read()
        order = sorted(range(len(self._places)), key=self._places.__getitem__)
        places = [self._places[row] for row in order]
        for name, cells in zip(self.names, self._cells, strict=True):
            values = map(cells.__getitem__, order)
            if len(order) == runs:
                columns[name] = list(values)
                continue
            column = columns.setdefault(name, [None] * runs)
            for place, value in zip(places, values, strict=True):
                column[place] = value


class Wide:
    """The columns that some of these runs have.

    Args:
        connection: a read transaction.
        ids: the runs, in the order of the cells.
        all_runs: whether they are all there are.
    """

    def __init__(self, connection: Connection, ids: Sequence[str], *, all_runs: bool) -> None:
        self._connection = connection
        self._ids = ids
        self._keys = None if all_runs else ids
        self._place = {id: place for place, id in enumerate(ids)}

    def labels(self, table: Table, *tests: Condition) -> Cells:
        """Return the params, tags or facts, as the table has them, that pass the tests."""
        held = (table.c.value,) if table is TAG else (table.c.kind, table.c.text)
        owner, parts = table.c.run_id, (table.c.name, *held)
        packed = (
            select(owner, func.count(), *map(self._joined, parts)).where(*tests).group_by(owner)
        )
        layouts: dict[tuple[Any, ...], _Layout | None] = {}
        unclear = []
        for run, *head, joined in in_chunks(self._connection, packed, owner, self._keys):
            key = tuple(head)
            if key not in layouts:
                layouts[key] = _layout(*key)
            layout, place = layouts[key], self._place.get(run)
            # A damaged database may have rows that belong to no run.
            if place is not None and (layout is None or not layout.add(place, joined)):
                unclear.append(run)
        columns: Cells = {}
        for layout in layouts.values():
            if layout is not None:
                layout.fill(columns, len(self._ids))
        single = select(owner, *parts).where(*tests)
        for run, name, *value in in_chunks(self._connection, single, owner, unclear):
            self._set(columns, run, name, value[0] if table is TAG else param_decode(*value))
        return columns

    def _joined(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        is_sqlite = self._connection.dialect.name == "sqlite"
        return (func.group_concat if is_sqlite else func.string_agg)(column, literal(_BETWEEN))

    def _column(self, columns: Cells, name: str) -> list[Any]:
        if name not in columns:
            columns[name] = [None] * len(self._ids)
        return columns[name]

    def _set(self, columns: Cells, run: str, name: str, value: Any) -> None:
        if run in self._place:
            self._column(columns, name)[self._place[run]] = value

    def metrics(self, directions: Directions) -> Cells:
        """Return each metric of each run at its best; the last value of one that has no best, such as a time."""
        modes = self._modes(directions) if self._keys is None else {}
        columns = self._pivoted(modes) if modes else {}
        for run, name, value in self._one_by_one(directions, modes):
            self._set(columns, run, name, value)
        return columns

    def _modes(self, directions: Directions) -> dict[str, str]:
        """Return the metrics that have the same direction in all runs; none where there are too many."""
        names = list(self._connection.scalars(names_by_index(SUMMARY)))
        modes = {name: directions.of(name).mode for name in names if not directions.differ(name)}
        known = {name: mode for name, mode in modes.items() if mode is not None}
        return known if len(known) <= _MOST_METRICS else {}

    def _pivoted(self, modes: Mapping[str, str]) -> Cells:
        columns = SUMMARY.c
        best = (
            func.max(case((columns.name == name, columns.min if mode == "min" else columns.max)))
            for name, mode in modes.items()
        )
        statement = select(columns.run_id, *best).group_by(columns.run_id)
        runs: list[str] = []
        cells = [array("d") for _ in modes]
        for rows in self._connection.execute(statement).partitions(_READ_AT_ONCE):
            some, *values = zip(*rows, strict=True)
            runs += some
            for cell, column in zip(cells, values, strict=True):
                cell.extend(_NOTHING if value is None else value for value in column)
        for cell in cells:
            cell.append(_NOTHING)
        row_of = {run: row for row, run in enumerate(runs)}
        order = [row_of.get(run, -1) for run in self._ids]
        return {
            name: [None if value != value else value for value in map(column.__getitem__, order)]
            for name, column in zip(modes, cells, strict=True)
        }

    def _one_by_one(
        self, directions: Directions, without: Iterable[str]
    ) -> Iterator[tuple[str, str, float | None]]:
        columns = SUMMARY.c
        statement = select(
            columns.run_id, columns.name, columns.min, columns.max, columns.last, columns.last_kind
        ).where(columns.name.not_in(list(without)))
        modes: dict[str, tuple[str | None, bool]] = {}
        rows = in_chunks(self._connection, statement, columns.run_id, self._keys)
        for run, name, low, high, last, kind in rows:
            if name not in modes:
                modes[name] = directions.of(name).mode, directions.differ(name)
            usual, differ = modes[name]
            mode = directions.of(name, run).mode if differ else usual
            if usual is None:
                yield run, name, last if kind == "finite" else join(last, kind)
            else:
                yield run, name, low if mode == "min" else high if mode == "max" else None


_NOTHING = math.nan
"""Stands for no best among floats: a best is never NaN."""


def _layout(count: int, names: str, kinds: str | None = None) -> _Layout | None:
    """Return the layout of these names and kinds, joined; None where a name has the separator."""
    split = names.split(_BETWEEN)
    if len(split) != count:
        return None
    decoders = [str] * count if kinds is None else map(_decoder, kinds.split(_BETWEEN))
    return _Layout(split, list(decoders))


def _decoder(kind: str) -> Callable[[str], Any]:
    return float if kind == "float" else partial(param_decode, kind)
