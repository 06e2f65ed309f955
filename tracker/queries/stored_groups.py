"""Groups of runs that the database adds up: their keys as it holds them, and how many runs each has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Label, Select, and_, func, null, select
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.selectable import NamedFromClause

from tracker.filters.compile import condition
from tracker.filters.fields import Fields
from tracker.filters.targets import LabelPlace, Place
from tracker.filters.tree import SortKey
from tracker.models import PARAM, RUN, TAG
from tracker.queries.result import Column, Kind
from tracker.queries.run_fields import known_kind
from tracker.queries.runs import COLUMNS
from tracker.states import RunStatus
from tracker.storage.chunks import CHUNK
from tracker.values import param_decode

COUNTED = (
    Column("runs", "integer"), Column("running", "integer"), Column("seconds", "number"),
    Column("started", "time"),
)  # fmt: skip

_ALL = 2**63 - 1
_FEW = 5000
"""Runs that are looked up one by one, rather than all of them read."""

Same = tuple[Any, ...]
"""What a group's values are known by: see `sameness`."""


class GroupKey:
    """A key as the database holds it: its columns, the row that they are in, and what they mean."""

    def __init__(self, key: SortKey, place: Place) -> None:
        self.name = key.text
        self.label: LabelPlace | None = None
        self.row: NamedFromClause[Any] | None = None
        self.link: ColumnElement[bool] | None = None
        self.columns: list[ColumnElement[Any]] = [place.column]
        self.kind: Kind | None = None
        if isinstance(place, LabelPlace):
            self.label = place
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
        self._of_groups: ColumnElement[bool] | None = None
        self._known: dict[Sequence[Any], tuple[Same, list[Any]]] = {}

    def rows(self, *columns: Any) -> Select[Any]:
        """Return the statement for a row per run: the keys, then the columns."""
        # Any id; so that SQLite reads the runs as they lie, and not one by one in the order of another index.
        statement = select(*self._labels(), *columns).select_from(RUN).where(RUN.c.id >= "")
        for key in self._keys:
            if key.row is not None:
                statement = statement.outerjoin(key.row, key.link)
        if self._of_groups is not None:
            statement = statement.where(self._of_groups)
        return statement if self._test is None else statement.where(self._test)

    def narrow(self, connection: Connection, limit: int) -> None:
        """Leave out the runs of all but the newest groups, where those are few runs, and an index has their values.

        Args:
            connection: a read transaction.
            limit: how many groups are wanted.
        """
        (key, *others) = self._keys
        row, label = key.row, key.label
        if others or row is None or label is None:
            return
        column = _indexed(connection, label)
        if column is None:
            return
        value = row.c[column]
        newest = select(RUN.c.started, value).outerjoin_from(RUN, row, key.link)
        values = self._newest(connection, newest, limit)
        if not values or len(values) > CHUNK:
            return
        of_groups = and_(row.c.name == label.name, value.in_(values))
        few = select(row.c.run_id).where(of_groups).limit(_FEW).subquery()
        if connection.execute(select(func.count()).select_from(few)).scalar_one() < _FEW:
            self._of_groups = of_groups

    def _newest(self, connection: Connection, values: Select[Any], limit: int) -> list[Any]:
        """Return so many values of the newest runs, with those that are as new; none where few runs do not say it.

        Args:
            connection: a read transaction.
            values: the statement for the start of a run and its value.
            limit: how many.
        """
        if self._test is not None:
            values = values.where(self._test)
        found: dict[Any, None] = {}
        oldest = None
        with connection.execute(values.order_by(RUN.c.started.desc()).limit(_FEW)) as rows:
            for started, value in rows:
                if value is None:
                    return []
                if len(found) >= limit and started != oldest:
                    return list(found)
                if value not in found:
                    found[value], oldest = None, started
        return []

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
        """Return the statement for a row per run: the keys, what `COUNTED` adds up, then the columns.

        But for those that are running: a database sorts the rows by their group, and takes longer for wider ones.
        """
        return self.rows(RUN.c.seconds, RUN.c.started, *columns)

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
                *keys, func.count().label("runs"), func.sum(rows.seconds).label("seconds"),
                newest.label("started"), *sums(rows),
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
        for row in connection.execute(self._running()):
            same, _ = self.of(row)
            found[same].running += 1
        return found

    def _running(self) -> Select[Any]:
        """Return the statement for the runs that are being recorded, by the index of what they were left as."""
        word = RunStatus.RUNNING.value
        return self.rows(RUN.c.id).where(RUN.c.status == word, self._status == word)

    def heads(self) -> tuple[Column, ...]:
        """Return the columns of the keys and `COUNTED`, by all values of the keys that were read."""
        values = [cells for _, cells in self._known.values()]
        keys = (
            Column(key.name, key.kind or known_kind(cells[place] for cells in values))
            for place, key in enumerate(self._keys)
        )
        return *keys, *COUNTED


def _indexed(connection: Connection, label: LabelPlace) -> str | None:
    """Return the column whose index has the values of a label; None where values may be equal and differ in it."""
    if label.table is TAG:
        return TAG.c.value.name
    if label.table is not PARAM:
        return None
    kinds = select(PARAM.c.kind).where(PARAM.c.name == label.name).distinct().limit(2)
    return PARAM.c.number.name if list(connection.scalars(kinds)) == ["float"] else None


def sameness(value: Any) -> Any:
    """Return what is equal for values of one group: 1 and 1.0 are, 1 and true are not, and one NaN is as another."""
    if isinstance(value, float) and math.isnan(value):
        return "nan", None
    return type(value).__name__ if isinstance(value, bool) else "", str(value) if isinstance(
        value, list | dict
    ) else value
