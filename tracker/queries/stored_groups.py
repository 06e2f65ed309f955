"""Groups of runs that the database adds up: their keys as it holds them, and how many runs each has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Label, Select, and_, case, func, null, select
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.selectable import NamedFromClause

from tracker.filters.compile import condition
from tracker.filters.fields import Fields
from tracker.filters.targets import LabelPlace, Place
from tracker.filters.tree import SortKey
from tracker.models import RUN, TAG
from tracker.queries.result import Column, Kind
from tracker.queries.run_fields import known_kind
from tracker.queries.runs import COLUMNS
from tracker.states import RunStatus
from tracker.values import param_decode

COUNTED = (
    Column("runs", "integer"), Column("running", "integer"), Column("seconds", "number"),
    Column("started", "time"),
)  # fmt: skip

_ALL = 2**63 - 1

Same = tuple[Any, ...]
"""What a group's values are known by: see `sameness`."""


class GroupKey:
    """A key as the database holds it: its columns, the row that they are in, and what they mean."""

    def __init__(self, key: SortKey, place: Place) -> None:
        self.name = key.text
        self.row: NamedFromClause[Any] | None = None
        self.link: ColumnElement[bool] | None = None
        self.columns: list[ColumnElement[Any]] = [place.column]
        self.kind: Kind | None = None
        if isinstance(place, LabelPlace):
            self.row = row = place.table.alias()
            self.link = and_(row.c.run_id == RUN.c.id, row.c.name == place.name)
            self.columns = [row.c.value] if place.table is TAG else [row.c.kind, row.c.text]
        else:
            self.kind = next(column.kind for column in COLUMNS if column.name == key.field.name)

    def value(self, cells: Iterator[Any]) -> Any:
        """Take the cells of this key from a row; return its value."""
        first = next(cells)
        if len(self.columns) == 1:
            return first
        text = next(cells)
        return None if first is None else param_decode(first, text)


@dataclass
class Group:
    """The sums over the runs of a group; ``values`` are those of the keys."""

    values: list[Any]
    runs: int = 0
    running: int = 0
    seconds: float = 0.0
    started: int = 0

    def add(self, row: Any) -> None:
        """Add a row of the database's sums."""
        self.runs += row.runs
        self.running += row.running
        self.seconds += row.seconds
        self.started = max(self.started, row.started)

    @property
    def cells(self) -> tuple[Any, ...]:
        """The values of the keys, then `COUNTED`."""
        return (*self.values, self.runs, self.running, self.seconds, self.started)


AGroup = TypeVar("AGroup", bound=Group)


class StoredGroups:
    """Groups of the runs that pass a filter, by keys that the database holds."""

    def __init__(self, keys: Sequence[GroupKey], where: str | None, fields: Fields) -> None:
        self._keys = keys
        self._test = condition(where, fields)
        self._status = fields.columns["status"].column
        self._columns = [column for key in keys for column in key.columns]
        self._known: dict[Sequence[Any], tuple[Same, list[Any]]] = {}

    def rows(self, *columns: Any) -> Select[Any]:
        """Return the statement for a row per run: the keys, then the columns."""
        # Any id; so that SQLite reads the runs as they lie, and not one by one in the order of another index.
        statement = select(*self._labels(), *columns).select_from(RUN).where(RUN.c.id >= "")
        for key in self._keys:
            if key.row is not None:
                statement = statement.outerjoin(key.row, key.link)
        return statement if self._test is None else statement.where(self._test)

    def _labels(self) -> list[Label[Any]]:
        # Grouped by a column, the rows would be looked for one by one, in the order of its index; by an expression
        # they are not.
        return [
            func.coalesce(column, null()).label(f"key_{place}")
            for place, column in enumerate(self._columns)
        ]

    def of(self, row: Sequence[Any]) -> tuple[Same, list[Any]]:
        """Return what the values at the beginning of a row are known by, and the values; equal ones are read once."""
        stored = tuple(row[: len(self._columns)])
        if stored not in self._known:
            cells = iter(stored)
            values = [key.value(cells) for key in self._keys]
            self._known[stored] = tuple(map(sameness, values)), values
        return self._known[stored]

    def counted_rows(self, *columns: Any) -> Select[Any]:
        """Return the statement for a row per run: the keys, what `COUNTED` adds up, then the columns."""
        running = case((self._status == RunStatus.RUNNING.value, 1), else_=0)
        return self.rows(running.label("running"), RUN.c.seconds, RUN.c.started, *columns)

    def added(
        self,
        connection: Connection,
        counted_rows: Select[Any],
        make: Callable[[list[Any]], AGroup],
        sums: Callable[[ReadOnlyColumnCollection[str, Any]], Iterable[Any]] = lambda columns: (),
    ) -> dict[Same, AGroup]:
        """Return all groups, the newest first.

        Args:
            connection: a read transaction.
            counted_rows: what the method of that name returns.
            make: makes a group of the values of its keys; it is given the sums.
            sums: gives the sums of further columns of the rows.
        """
        # A limit, so that SQLite does not compute the values of a row anew for each sum.
        rows = counted_rows.limit(_ALL).subquery().c
        keys = [rows[label.name] for label in self._labels()]
        newest = func.max(rows.started)
        statement = (
            select(
                *keys, func.count().label("runs"), func.sum(rows.running).label("running"),
                func.sum(rows.seconds).label("seconds"), newest.label("started"), *sums(rows),
            )
            .group_by(*keys)
            .order_by(newest.desc())
        )  # fmt: skip
        found: dict[Same, AGroup] = {}
        for row in connection.execute(statement):
            # What is one value to a person, such as 1 and 1.0, may be several in the database.
            same, values = self.of(row)
            if same not in found:
                found[same] = make(values)
            found[same].add(row)
        return found

    def heads(self) -> tuple[Column, ...]:
        """Return the columns of the keys and `COUNTED`, by all values of the keys that were read."""
        values = [cells for _, cells in self._known.values()]
        keys = (
            Column(key.name, key.kind or known_kind(cells[place] for cells in values))
            for place, key in enumerate(self._keys)
        )
        return *keys, *COUNTED


def sameness(value: Any) -> Any:
    """Return what is equal for values of one group: 1 and 1.0 are, 1 and true are not, and one NaN is as another."""
    if isinstance(value, float) and math.isnan(value):
        return "nan", None
    return type(value).__name__ if isinstance(value, bool) else "", str(value) if isinstance(
        value, list | dict
    ) else value
