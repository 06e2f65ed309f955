"""What many runs have besides their own columns: tags, params, metrics and captured facts, one column per name.

A hundred thousand runs have millions of them, and each row that comes from a database costs more than what is in it.
So the database joins what a run has to one row: its names with a character between them, and so its values.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import (
    Callable,
    Iterator,
    Mapping,
    MutableSequence,
    Sequence,
)
from functools import partial
from itertools import compress
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, literal, select, true

from tracker.filters.compile import Condition
from tracker.filters.fields import names_by_index
from tracker.models import SUMMARY, TAG
from tracker.storage.chunks import in_chunks, plain_rows
from tracker.storage.directions import Directions
from tracker.values import join, param_decode

Cells = dict[str, MutableSequence[Any]]
"""Name → a cell for each run; None where a run has no such value. An array where all are floats."""

_BETWEEN = "\x1f"
"""Separates what is joined. A run that has it in a name or a value is read value by value."""

_MANY = 10_000
"""From this many runs on NumPy puts them in order; for fewer, loading it takes longer."""

_MOST_METRICS = 60
"""More than these are read row by row: the database looks at each of them for every row."""


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
        self._runs: list[str] = []

    def add(self, runs: Sequence[str], joined: Sequence[str]) -> list[str]:
        """Take the values of runs, joined; return the runs with a value that has the separator, which are left out."""
        separators = len(self.names) - 1
        texts = _BETWEEN.join(joined).split(_BETWEEN)
        unclear: list[str] = []
        if len(texts) != len(self.names) * len(runs):
            is_clear = [values.count(_BETWEEN) == separators for values in joined]
            unclear = [run for run, clear in zip(runs, is_clear, strict=True) if not clear]
            runs = [*compress(runs, is_clear)]
            texts = _BETWEEN.join(compress(joined, is_clear)).split(_BETWEEN) if runs else []
        self._runs += runs
        for column, (cells, decode) in enumerate(zip(self._cells, self._decoders, strict=True)):
            cells.extend(map(decode, texts[column :: len(self.names)]))
        return unclear

    def fill(self, columns: Cells, place: Mapping[str, int]) -> None:
        """Put the values into the columns, which have a cell for each of the runs that have a place."""
        # A damaged database may have rows that belong to no run.
        places = array("q", [place.get(run, -1) for run in self._runs])
        order = _order(places)
        for name, cells in zip(self.names, self._cells, strict=True):
            values = _taken(cells, order)
            if len(order) == len(place):
                columns[name] = values
                continue
            column = columns.setdefault(name, [None] * len(place))
            for row, value in zip(order, values, strict=True):
                column[places[row]] = value


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
        unclear: list[str] = []
        for rows in plain_rows(self._connection, packed, owner, self._keys):
            alike: dict[tuple[Any, ...], list[Any]] = {}
            for row in rows:
                alike.setdefault(row[1:-1], []).append(row)
            for key, some in alike.items():
                if key not in layouts:
                    layouts[key] = _layout(*key)
                layout, runs = layouts[key], [row[0] for row in some]
                unclear += runs if layout is None else layout.add(runs, [row[-1] for row in some])
        columns: Cells = {}
        for layout in layouts.values():
            if layout is not None:
                layout.fill(columns, self._place)
        single = select(owner, *parts).where(*tests)
        for run, name, *value in in_chunks(self._connection, single, owner, unclear):
            self._set(columns, run, name, value[0] if table is TAG else param_decode(*value))
        return columns

    def _joined(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        is_sqlite = self._connection.dialect.name == "sqlite"
        return (func.group_concat if is_sqlite else func.string_agg)(
            column, literal(_BETWEEN, literal_execute=True)
        )

    def _set(self, columns: Cells, run: str, name: str, value: Any) -> None:
        if run not in self._place:
            return
        if name not in columns:
            columns[name] = [None] * len(self._ids)
        columns[name][self._place[run]] = value

    def metrics(self, directions: Directions) -> Cells:
        """Return each metric of each run at its best; the last value of one that has no best, such as a time."""
        if self._keys is not None:
            return self._row_by_row(directions, true())
        names = list(self._connection.scalars(names_by_index(SUMMARY)))
        modes = {name: directions.of(name).mode for name in names if not directions.differ(name)}
        bests = {name: mode for name, mode in modes.items() if mode is not None}
        if not 0 < len(bests) <= _MOST_METRICS:
            return self._row_by_row(directions, true())
        others = [name for name in names if name not in bests]
        return self._bests(bests) | self._row_by_row(directions, SUMMARY.c.name.in_(others))

    def _bests(self, modes: Mapping[str, str]) -> Cells:
        columns = SUMMARY.c
        best = (
            func.max(columns.min if mode == "min" else columns.max).filter(columns.name == name)
            for name, mode in modes.items()
        )
        statement = select(columns.run_id, *best).group_by(columns.run_id)
        runs: list[str] = []
        cells = [array("d") for _ in modes]
        for rows in plain_rows(self._connection, statement, columns.run_id, self._keys):
            some, *values = zip(*rows, strict=True)
            runs += some
            for cell, column in zip(cells, values, strict=True):
                is_full = None not in column
                cell.extend(column if is_full else map(_number_or_nothing, column))
        for cell in cells:
            cell.append(_NOTHING)
        row_of = {run: row for row, run in enumerate(runs)}
        order = array("q", [row_of.get(run, -1) for run in self._ids])
        return {name: _known(_taken(cell, order)) for name, cell in zip(modes, cells, strict=True)}

    def _row_by_row(self, directions: Directions, test: Condition) -> Cells:
        columns: Cells = {}
        for run, name, value in self._one_by_one(directions, test):
            self._set(columns, run, name, value)
        return columns

    def _one_by_one(
        self, directions: Directions, test: Condition
    ) -> Iterator[tuple[str, str, float | None]]:
        columns = SUMMARY.c
        statement = select(
            columns.run_id, columns.name, columns.min, columns.max, columns.last, columns.last_kind
        ).where(test)
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


def _number_or_nothing(value: float | None) -> float:
    return _NOTHING if value is None else value


def _order(places: array[int]) -> array[int]:
    """Return the indices that sort the places; those of places below 0 are left out."""
    if len(places) >= _MANY:
        import numpy as np

        found = np.frombuffer(places, np.int64)
        order = np.argsort(found, kind="stable")
        return array("q", order[found[order] >= 0].tobytes())
    sorted_ = sorted(range(len(places)), key=places.__getitem__)
    return array("q", sorted_[bisect_left(sorted_, 0, key=places.__getitem__) :])


def _taken(cells: MutableSequence[Any], order: array[int]) -> MutableSequence[Any]:
    """Return the cells at these indices, as an array where they are one."""
    if not isinstance(cells, array):
        return [*map(cells.__getitem__, order)]
    if len(order) >= _MANY:
        import numpy as np

        return array("d", np.frombuffer(cells)[np.frombuffer(order, np.int64)].tobytes())
    return array("d", map(cells.__getitem__, order))


def _known(cells: MutableSequence[Any]) -> MutableSequence[Any]:
    """Return cells in which None stands for each `_NOTHING`; those without any as they are."""
    # A sum has the NaN of each of its terms.
    if not math.isnan(sum(cells)):
        return cells
    return [None if value != value else value for value in cells]


def _layout(count: int, names: str, kinds: str | None = None) -> _Layout | None:
    """Return the layout of these names and kinds, joined; None where a name has the separator."""
    split = names.split(_BETWEEN)
    if len(split) != count:
        return None
    decoders = [str] * count if kinds is None else map(_decoder, kinds.split(_BETWEEN))
    return _Layout(split, list(decoders))


def _decoder(kind: str) -> Callable[[str], Any]:
    return float if kind == "float" else partial(param_decode, kind)
