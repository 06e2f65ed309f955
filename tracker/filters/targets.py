"""Where a field's value is found: a column, or a row of another table.

A value that is missing equals nothing: every test of it is false, so that ``not`` and ``!=`` hold.
SQL's third truth value never comes out of here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    Select,
    Table,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import NamedFromClause

from tracker.models import (
    CHECKPOINT,
    EPOCH,
    FACT,
    METRIC,
    PARAM,
    RUN,
    SUMMARY,
    TAG,
    ColumnKind,
    column_kind,
)

Test = Callable[[Any], ColumnElement[bool]]
Expression = ColumnElement[Any]

TEXT, NUMBER, TIME, FLAG, PARAMETER = "text", "number", "time", "flag", "parameter"


_INDEXED = ("min", "max", "last")
"""Columns of `SUMMARY` that have an index together with the name."""


def _never(ids: Select[Any]) -> bool:
    return False


@dataclass(frozen=True)
class Place:
    """A value of the row that is filtered or sorted.

    Its methods return conditions in which NULL never comes out.

    Attributes:
        kind: `TEXT`, `NUMBER`, `TIME`, `FLAG`, or `PARAMETER` for one that may be any of them.
        column: the value; nullable unless ``certain``.
        certain: whether the value is never NULL.
        nan: a test that the value is NaN; None where it cannot be.
        falling: whether the usual order is from high to low.
        words: all values there can be, in lower case; None for a text that may be anything.
    """

    kind: str
    column: Expression
    certain: bool = False
    nan: ColumnElement[bool] | None = None
    falling: bool = False
    words: tuple[str, ...] | None = None

    def holds(self, test: Test) -> ColumnElement[bool]:
        """Return the condition that there is a value, and that it passes."""
        return test(self.column) if self.certain else func.coalesce(test(self.column), false())

    def present(self) -> ColumnElement[bool]:
        """Return the condition that there is a value, NaN included."""
        known = self.column.is_not(None)
        return known if self.nan is None else known | self.is_nan()

    def is_nan(self) -> ColumnElement[bool]:
        """Return the condition that the value is NaN."""
        return false() if self.nan is None else func.coalesce(self.nan, false())

    def sorted(self, statement: Select[Any], descending: bool) -> Select[Any]:
        """Return a statement sorted by the value, after what it is sorted by; rows without one come last."""
        if self.certain:
            return statement.order_by(self.column.desc() if descending else self.column.asc())
        return statement.order_by(_absent_last(self.column, descending))


def _absent_last(value: Expression, descending: bool) -> Expression:
    return (value.desc() if descending else value.asc()).nulls_last()


_PLACE_KINDS: dict[ColumnKind, str] = {
    "text": TEXT, "integer": NUMBER, "number": NUMBER, "time": TIME, "flag": FLAG,
}  # fmt: skip


def column_place(column: Column[Any]) -> Place:
    """Return the place of a table's own column; one with a ``…_kind`` beside it may be NaN."""
    return Place(
        _PLACE_KINDS[column_kind(column)], column, certain=not column.nullable, nan=_is_nan(column)
    )


def _is_nan(column: Column[Any]) -> ColumnElement[bool] | None:
    """Return the test that a column's value is NaN; None for one without a ``…_kind`` beside it."""
    kind = column.table.c.get(f"{column.name}_kind")
    return None if kind is None else kind == "nan"


def column_places(*columns: Column[Any]) -> dict[str, Place]:
    """Return the places of columns of one table, by name."""
    return {column.name: column_place(column) for column in columns}


@dataclass(frozen=True)
class ParentPlace(Place):
    """The run that a run belongs to: its id or its name."""

    def holds(self, test: Test) -> ColumnElement[bool]:
        """Let either pass."""
        parents = RUN.alias()
        named = self.column.in_(select(parents.c.id).where(test(parents.c.name)))
        return func.coalesce(or_(test(self.column), named), false())


@dataclass(frozen=True)
class AliasPlace(Place):
    """What a checkpoint is to its run; one that is "best, last" is either."""

    ids: Mapping[str, ColumnElement[bool]] = field(default_factory=dict)

    def holds(self, test: Test) -> ColumnElement[bool]:
        """Let each word that holds pass."""
        return or_(*(and_(held, test(literal(word))) for word, held in self.ids.items()))


def alias_place(aliases: Mapping[str, str]) -> AliasPlace:
    """Return the place of a checkpoint's alias: id → "best", "last" or "best, last"."""
    held: dict[str, ColumnElement[bool]] = {}
    for word in ("best", "last"):
        ids = sorted(one for one, words in aliases.items() if word in words)
        # Written into the statement: a database takes a limited number of bound values.
        names: BindParameter[list[str]] = bindparam(
            word, ids, expanding=True, literal_execute=True, unique=True
        )
        held[word] = CHECKPOINT.c.id.in_(names)
    held["best, last"] = both = and_(held["best"], held["last"])
    shown = case((both, "best, last"), (held["best"], "best"), (held["last"], "last"), else_=None)
    return AliasPlace(TEXT, shown, words=tuple(held), ids=held)


@dataclass(frozen=True)
class SummaryPlace(Place):
    """A metric of a run: its last, lowest or highest value, or the epoch of one of them."""

    key: Expression | None = None
    name: str = ""
    summarized: Column[Any] = SUMMARY.c.min
    is_rare: Callable[[Select[Any]], bool] = _never

    def holds(self, test: Test) -> ColumnElement[bool]:
        """Ask the run's own summary of that metric."""
        return self._among(test(self.summarized))

    def present(self) -> ColumnElement[bool]:
        """Let a NaN count as the last value; it is neither the lowest nor the highest."""
        known = self.summarized.is_not(None)
        return self._among(known if self.nan is None else known | self.nan)

    def is_nan(self) -> ColumnElement[bool]:
        """Only the last value can be NaN."""
        return false() if self.nan is None else self._among(self.nan)

    def _among(self, test: ColumnElement[bool]) -> ColumnElement[bool]:
        assert self.key is not None
        is_rare = self.is_rare if self.summarized.name in _INDEXED else _never
        return _has_row(SUMMARY, self.key, self.name, test, is_rare)

    def sorted(self, statement: Select[Any], descending: bool) -> Select[Any]:
        """Join the run's own summary: one look per run."""
        assert self.key is not None
        joined, row = _joined(statement, SUMMARY, self.key, self.name)
        return joined.order_by(_absent_last(row.c[self.summarized.name], descending))


def summary_place(
    key: Expression, name: str, column: Column[Any], *, falling: bool
) -> SummaryPlace:
    """Return the place of a column of the summary of metric ``name`` of the run ``key``."""
    return SummaryPlace(
        NUMBER,
        _scalar(column, SUMMARY.c.run_id == key, SUMMARY.c.name == name),
        nan=_is_nan(column),
        falling=falling,
        key=key,
        name=name,
        summarized=column,
    )


@dataclass(frozen=True)
class LabelPlace(Place):
    """A tag or a parameter of a run. A parameter is compared as the number, text or flag that it is asked for."""

    table: Table = TAG
    key: Expression | None = None
    name: str = ""
    is_rare: Callable[[Select[Any]], bool] = _never

    def holds(self, test: Test) -> ColumnElement[bool]:
        """Give the test the row's columns for a parameter, the value for a tag."""
        assert self.key is not None
        columns = self.table.c
        passed = test(columns if self.kind == PARAMETER else columns.value)
        # Of params only numbers have an index.
        is_indexed = self.table is TAG or (self.table is PARAM and not asks(passed, columns.text))
        is_rare = self.is_rare if is_indexed else _never
        return _has_row(self.table, self.key, self.name, passed, is_rare)

    def present(self) -> ColumnElement[bool]:
        """Let a parameter that is None be null, as one that was not given."""
        return self.holds(
            lambda value: value.kind != "none" if self.kind == PARAMETER else value.is_not(None)
        )

    def is_nan(self) -> ColumnElement[bool]:
        """Look for the parameter that is NaN."""
        if self.kind != PARAMETER:
            return super().is_nan()
        return self.holds(lambda row: (row.kind == "float") & (row.text == "nan"))

    def sorted(self, statement: Select[Any], descending: bool) -> Select[Any]:
        """Join the run's own row, one look per run; of parameters, numbers come before text."""
        assert self.key is not None
        joined, row = _joined(statement, self.table, self.key, self.name)
        if self.kind != PARAMETER:
            return joined.order_by(_absent_last(row.c.value, descending))
        return joined.order_by(
            _absent_last(row.c.number, descending), _absent_last(row.c.text, descending)
        )


def tag_place(key: Expression, name: str) -> LabelPlace:
    """Return the place of a tag of the run ``key``."""
    value = _scalar(TAG.c.value, TAG.c.run_id == key, TAG.c.name == name)
    return LabelPlace(TEXT, value, table=TAG, key=key, name=name)


def param_place(key: Expression, name: str) -> LabelPlace:
    """Return the place of a parameter of the run ``key``; as a bare value it is its number."""
    return _typed_place(PARAM, key, name)


def fact_place(key: Expression, name: str) -> LabelPlace:
    """Return the place of a captured fact of the run ``key``; it is compared as a parameter is."""
    return _typed_place(FACT, key, name)


def _typed_place(table: Table, key: Expression, name: str) -> LabelPlace:
    value = _scalar(table.c.number, table.c.run_id == key, table.c.name == name)
    return LabelPlace(PARAMETER, value, nan=false(), table=table, key=key, name=name)


@dataclass(frozen=True)
class MetricPlace(Place):
    """A metric of an epoch."""

    link: ColumnElement[bool] | None = None
    epoch: Expression | None = None
    name: str = ""

    def holds(self, test: Test) -> ColumnElement[bool]:
        """Ask the epoch's own row of that metric."""
        return self._exists(test(METRIC.c.value))

    def present(self) -> ColumnElement[bool]:
        """Let a NaN count as a value."""
        return self._exists(METRIC.c.value_kind.is_not(None))

    def is_nan(self) -> ColumnElement[bool]:
        """Ask the epoch's own row of that metric for its kind."""
        return false() if self.nan is None else self._exists(self.nan)

    def sorted(self, statement: Select[Any], descending: bool) -> Select[Any]:
        """Join the epoch's own row of that metric: one look per epoch."""
        assert self.epoch is not None
        row = METRIC.alias()
        link = and_(row.c.epoch_id == self.epoch, row.c.name == self.name)
        joined = statement.outerjoin(row, link)
        return joined.order_by(_absent_last(row.c.value, descending))

    def _exists(self, test: ColumnElement[bool]) -> ColumnElement[bool]:
        assert self.link is not None
        return exists(select(METRIC.c.name).where(self.link, test).correlate_except(METRIC))


def metric_place(epoch: Expression, name: str, *, falling: bool) -> MetricPlace:
    """Return the place of metric ``name`` of the epoch ``epoch`` (its id)."""
    link = and_(METRIC.c.epoch_id == epoch, METRIC.c.name == name)
    nan = _is_nan(METRIC.c.value)
    return MetricPlace(
        NUMBER,
        _scalar(METRIC.c.value, link),
        nan=nan,
        falling=falling,
        link=link,
        epoch=epoch,
        name=name,
    )


def rate_place(recorded: Place) -> Place:
    """Return the place of an epoch's learning rate: the recorded one, else the metric of that name."""
    link = and_(METRIC.c.epoch_id == EPOCH.c.id, METRIC.c.name == EPOCH.c.learning_rate.name)
    return replace(recorded, column=func.coalesce(recorded.column, _scalar(METRIC.c.value, link)))


def asks(test: ColumnElement[bool], column: Column[Any]) -> bool:
    """Say whether a condition looks at a column."""
    return any(part is column for part in visitors.iterate(test))


def _has_row(
    table: Table,
    key: Expression,
    name: str,
    test: ColumnElement[bool],
    is_rare: Callable[[Select[Any]], bool],
) -> ColumnElement[bool]:
    """Return the condition that the run ``key`` has a row of that name which passes.

    It is asked run by run, which a listing of the first runs stops early; of rows that are rare, by their list.
    """
    ids = select(table.c.run_id).where(table.c.name == name, test)
    if is_rare(ids):
        return key.in_(ids)
    return exists(ids.where(table.c.run_id == key).correlate_except(table))


def _joined(
    statement: Select[Any], table: Table, key: Expression, name: str
) -> tuple[Select[Any], NamedFromClause[Any]]:
    """Return a statement with the row of that name of the run ``key``, where there is one; and that row."""
    row = table.alias()
    return statement.outerjoin(row, and_(row.c.run_id == key, row.c.name == name)), row


def _scalar(column: Column[Any], *where: ColumnElement[bool]) -> Expression:
    return select(column).where(*where).correlate_except(column.table).scalar_subquery()
