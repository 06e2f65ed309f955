"""What many runs have besides their own columns: tags, params, metrics and captured facts, one column per name.

A hundred thousand runs have millions of them, and each row that comes from a database costs more than what is in it.
So the database joins what a run has to one row: its names with a character between them, and so its values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

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


class _Layout(NamedTuple):
    """Where the values of a run go whose names and kinds are these; most runs of a sweep have one layout."""

    columns: list[list[Any]]
    decoders: list[Callable[[str], Any]]


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
        columns: Cells = {}
        layouts: dict[tuple[Any, ...], _Layout | None] = {}
        unclear = []
        for run, *head, joined in in_chunks(self._connection, packed, owner, self._keys):
            key = tuple(head)
            if key not in layouts:
                layouts[key] = self._layout(columns, *key)
            layout, texts = layouts[key], joined.split(_BETWEEN)
            if layout is None or len(layout.columns) != len(texts):
                unclear.append(run)
                continue
            place = self._place.get(run)
            if place is not None:
                for column, decode, text in zip(*layout, texts, strict=True):
                    column[place] = decode(text)
        single = select(owner, *parts).where(*tests)
        for run, name, *value in in_chunks(self._connection, single, owner, unclear):
            self._set(columns, run, name, value[0] if table is TAG else param_decode(*value))
        return columns

    def _joined(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        is_sqlite = self._connection.dialect.name == "sqlite"
        return (func.group_concat if is_sqlite else func.string_agg)(column, literal(_BETWEEN))

    def _layout(
        self, columns: Cells, count: int, names: str, kinds: str | None = None
    ) -> _Layout | None:
        """Return where values go; None where a name has the separator."""
        split = names.split(_BETWEEN)
        if len(split) != count:
            return None
        decoders = [str] * count if kinds is None else map(_decoder, kinds.split(_BETWEEN))
        return _Layout([self._column(columns, name) for name in split], list(decoders))

    def _column(self, columns: Cells, name: str) -> list[Any]:
        if name not in columns:
            columns[name] = [None] * len(self._ids)
        return columns[name]

    def _set(self, columns: Cells, run: str, name: str, value: Any) -> None:
        # A damaged database may have rows that belong to no run.
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
        found = self._connection.execute(statement).all()
        runs, *cells = zip(*found, strict=True) if found else ((), *(() for _ in modes))
        row_of = {run: row for row, run in enumerate(runs)}
        rows = [row_of.get(run, -1) for run in self._ids]
        return {
            name: list(map((*values, None).__getitem__, rows))
            for name, values in zip(modes, cells, strict=True)
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


def _decoder(kind: str) -> Callable[[str], Any]:
    return float if kind == "float" else partial(param_decode, kind)
