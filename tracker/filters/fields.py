"""What a name in a filter means: a column, a metric, a parameter, a tag."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, TableClause, func, literal, select
from sqlalchemy.sql.elements import ColumnElement

from tracker.errors import alike, nearest, suggestion
from tracker.filters.targets import (
    TEXT,
    Expression,
    ParentPlace,
    Place,
    SummaryPlace,
    alias_place,
    column_place,
    column_places,
    fact_place,
    metric_place,
    param_place,
    rate_place,
    summary_place,
    tag_place,
)
from tracker.filters.tree import Field
from tracker.models import (
    CHECKPOINT,
    DECISION,
    EPOCH,
    FACT,
    OF_STEPS,
    PARAM,
    POLICY,
    RUN,
    SUMMARY,
    TAG,
)
from tracker.states import OVERWRITTEN, CheckpointState, RunStatus, VerdictWord
from tracker.storage.directions import Directions

log = logging.getLogger("tracker")

_FEW = 500
"""Runs that a condition may leave for it to be rare: they are counted up to here, by an index."""

_MOST_NAMES = 1000  # names that are looked through for the nearest one
# Columns of the listing of runs that are another metric's in each run: see `Fields.unknown`.
_MONITOR_COLUMNS = (
    "monitor", "best", "best_epoch", "best_step", "restored_epoch", "last", "last_epoch", "last_step",
)  # fmt: skip
_SYNONYMS = {
    "age": "started", "created": "started", "date": "started", "duration": "seconds", "runtime": "seconds",
    "state": "status",
}  # fmt: skip
"""Other words for columns of runs, some of them headings of a table."""
_LABELS: dict[str, TableClause] = {"params": PARAM, "tags": TAG, "captured": FACT}
"""What a bare name may mean that is neither a column nor a metric."""

_NAME_INDEXED = (SUMMARY, PARAM, TAG, FACT)
"""Tables with an index that begins with the name."""

Columns = Mapping[str, Place]


def names_by_index(table: TableClause) -> Select[Any]:
    """Return the names of a table, sorted: from one to the next by its index, however many rows each has."""
    return values_by_index(table.c.name)


def values_by_index(column: Expression, *tests: Expression) -> Select[Any]:
    """Return the values of a column that an index begins with, as `names_by_index` returns names.

    Args:
        column: the column.
        tests: which rows; for an index of some rows, its condition.
    """
    known = select(func.min(column).label("value")).where(*tests).cte("known", recursive=True)
    following = select(func.min(column)).where(column > known.c.value, *tests).scalar_subquery()
    known = known.union_all(select(following).select_from(known).where(known.c.value.is_not(None)))
    return select(known.c.value).where(known.c.value.is_not(None))


_RUN_COLUMNS: Columns = column_places(
    RUN.c.id, RUN.c.name, RUN.c.experiment, RUN.c.status, RUN.c.started, RUN.c.ended, RUN.c.seconds,
    RUN.c.epochs, RUN.c.reason, RUN.c.error, RUN.c.note,
) | {"parent": ParentPlace(TEXT, RUN.c.parent_id)}  # fmt: skip


def row_count(rows: Select[Any]) -> Select[Any]:
    """Return the statement that counts rows: without a column of their own, they are counted in their index."""
    plain = rows.with_only_columns(literal(1).label("one")).subquery()
    return select(func.count()).select_from(plain)


@cache
def _report_same_names(name: str, scopes: tuple[str, ...]) -> None:
    """Say, once for each name, that a bare one means the metric, and how the others are written."""
    if scopes:
        log.warning(
            "local-tracker: %s means the metric of that name; write %s for the %s.",
            name,
            " or ".join(f"{scope}.{name}" for scope in scopes),
            " or the ".join(scope[:-1] for scope in scopes),
        )


class Fields:
    """The names that a filter of runs may use.

    A bare name is a column, else a metric at its best (`tracker.policies.modes`), else a column of the run,
    else the param, tag or captured fact that it alone can mean; ``min(x)``, ``max(x)``, ``last(x)``,
    ``best(x)`` and their epochs ``min_epoch(x)`` … are explicit; a metric that no epoch has is one of
    steps, with ``min_step(x)`` …

    Args:
        connection: a read transaction.
        status: the status as it is now.
        few: up to so many rows are asked for by their list, not run by run.

    Attributes:
        is_rare: says of a query of rows in an index whether they are so few.
    """

    def __init__(self, connection: Connection, status: Expression, *, few: int = _FEW) -> None:
        self._connection = connection
        self._few = few
        self.is_rare: Callable[[Select[Any]], bool] = self._has_few
        self._key: Expression = RUN.c.id
        self.columns: Columns = _run_columns(status)
        self._run_columns = self.columns
        self._directions = Directions(connection)

    def find(self, field: Field) -> Place | None:
        """Return the place of a field; None for a name that nothing here has."""
        if field.scope == "params":
            place = param_place(self._key, field.name) if self._has(PARAM, field.name) else None
            return None if place is None else replace(place, is_rare=self.is_rare)
        if field.scope == "tags":
            place = tag_place(self._key, field.name) if self._has(TAG, field.name) else None
            return None if place is None else replace(place, is_rare=self.is_rare)
        if field.scope == "captured":
            return self._fact(field.name)
        if field.function is not None:
            return self._summary(field.name, field.function)
        if field.scope == "run":
            return self._of_run(field)
        if field.scope == "metrics":
            return self._metric(field.name)
        return (
            self.columns.get(field.name)
            or self._bare_metric(field.name)
            or self._run_columns.get(field.name)
            or self._only_label(field)
        )

    def _bare_metric(self, name: str) -> Place | None:
        """Return the place of a metric; that a param or a tag has its name, too, is said once."""
        place = self._metric(name)
        if place is not None:
            others = (scope for scope in ("params", "tags") if self._names_a(_LABELS[scope], name))
            _report_same_names(name, tuple(others))
        return place

    def _of_run(self, field: Field) -> Place | None:
        """Return the place of ``run.x``, of ``run.params.x`` and the like."""
        scope, _, name = field.name.partition(".")
        if scope in _LABELS:
            return self.find(replace(field, scope=scope, name=name))
        return self._run_columns.get(field.name) or self._summary(field.name, "best")

    def _only_label(self, field: Field) -> Place | None:
        """Return the param, tag or fact that a bare name alone can mean; text in double quotes means none."""
        scopes = [scope for scope, table in _LABELS.items() if self._has(table, field.name)]
        if field.quoted or len(scopes) != 1:
            return None
        return self.find(replace(field, scope=scopes[0]))

    def _fact(self, name: str) -> Place | None:
        return fact_place(self._key, name) if self._has(FACT, name) else None

    def _metric(self, name: str) -> Place | None:
        return self._summary(name, "best")

    def _summary(self, name: str, function: str) -> Place | None:
        if not self._has(SUMMARY, name):
            return None
        place = run_metric(self._key, name, function, self._directions.of(name).mode)
        return replace(place, is_rare=self.is_rare)

    def _has_few(self, ids: Select[Any]) -> bool:
        """Return whether a query gives few rows: a list of them is then quicker than to ask run by run."""
        count = self._connection.execute(row_count(ids.limit(self._few))).scalar_one()
        return int(count) < self._few

    def _has(self, table: TableClause, name: str, *tests: Expression) -> bool:
        """Return whether the name is known; without any run, every name is."""
        if self._names_a(table, name, *tests):
            return True
        return self._connection.execute(select(RUN.c.id).limit(1)).first() is None

    def _names_a(self, table: TableClause, name: str, *tests: Expression) -> bool:
        """Return whether a row of the table has the name."""
        named = select(table.c.name).where(table.c.name == name, *tests)
        return self._connection.execute(named.limit(1)).first() is not None

    def unknown(self, field: Field) -> str:
        """Return the message for a name that nothing here has: which field may be meant."""
        if field.scope in _LABELS:
            names = self._names(_LABELS[field.scope])
            return f"No run has {field.scope}.{field.name}: {nearest(field.name, names)}"
        if field.name in _MONITOR_COLUMNS:
            metric = next(iter(self._names(SUMMARY)), "val_loss")
            return (
                f"{field.name} is another metric's from run to run: name the metric, such as "
                f"{metric}, last({metric}) or best_epoch({metric})."
            )
        labels = self._labels()
        known = self._names(SUMMARY) if field.function else self.names()
        same = [name for name in labels if name.partition(".")[2] == field.name]
        if not same and _SYNONYMS.get(field.name) in self.columns:
            same = [_SYNONYMS[field.name]]
        # A param is written as bare as a metric: "lrr" is nearer to "lr" than to "params.lr".
        bare = {} if field.function else {name.partition(".")[2]: name for name in labels}
        meant = {**bare, **{name: name for name in known}}
        close = same or list(dict.fromkeys(meant[name] for name in alike(field.name, meant)))
        hint = suggestion(close) if close else nearest(field.name, known, most=20)
        if not same and not field.function and alike(field.name, known):
            hint += f" There are metrics, params.NAME, tags.NAME, {', '.join(self.columns)}."
        return f"There is no {'metric' if field.function else 'field'} {field.name!r}: {hint}"

    def names(self) -> list[str]:
        """Return all known names: metrics, columns, params and tags."""
        return list(
            dict.fromkeys(
                [*self._metric_names(), *self.columns, *self._run_columns, *self._labels()]
            )
        )

    def _metric_names(self) -> list[str]:
        return self._names(SUMMARY)

    def _labels(self) -> list[str]:
        return [
            f"{scope}.{name}" for scope, table in _LABELS.items() for name in self._names(table)
        ]

    def _names(self, table: TableClause, *tests: Expression) -> list[str]:
        if table in _NAME_INDEXED and not tests:
            statement = names_by_index(table)
        else:
            statement = select(table.c.name).where(*tests).distinct().order_by(table.c.name)
        return list(self._connection.execute(statement.limit(_MOST_NAMES)).scalars())


class EpochFields(Fields):
    """The names that a filter of epochs may use: a bare metric is that of the epoch; ``run.x`` is the run's."""

    def __init__(self, connection: Connection, status: Expression) -> None:
        super().__init__(connection, status)
        columns = EPOCH.c
        self.columns = {"run": column_place(RUN.c.name)} | column_places(
            columns.epoch, columns.attempt, columns.seconds, columns.learning_rate, columns.started,
            columns.superseded,
        )  # fmt: skip

    def find(self, field: Field) -> Place | None:
        """Return the place of a field, of the learning rate as it is listed."""
        place, rate = super().find(field), EPOCH.c.learning_rate.name
        if place is self.columns[rate] and self._has(SUMMARY, rate, ~OF_STEPS):
            return rate_place(place)
        return place

    def unknown(self, field: Field) -> str:
        """Tell a metric of steps from a name that nothing has."""
        is_bare = field.function is None and field.scope in {None, "metrics"}
        if is_bare and self._has(SUMMARY, field.name):
            return (
                f"{field.name} is a step metric: no epoch has it. Of metrics of epochs, "
                f"{nearest(field.name, self._metric_names())}"
            )
        return super().unknown(field)

    def _metric_names(self) -> list[str]:
        return self._names(SUMMARY, ~OF_STEPS)

    def _metric(self, name: str) -> Place | None:
        if not self._has(SUMMARY, name, ~OF_STEPS):
            return None
        return metric_place(EPOCH.c.id, name, falling=self._directions.of(name).mode == "max")


class CheckpointFields(Fields):
    """The names that a filter of checkpoints may use."""

    def __init__(
        self,
        connection: Connection,
        status: Expression,
        state: Callable[[], Expression] = lambda: CHECKPOINT.c.state,
        aliases: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        super().__init__(connection, status)
        self._state, self._aliases = state, aliases
        columns = CHECKPOINT.c
        self.columns = _of_run_and_policy() | column_places(
            columns.id, columns.attempt, columns.path, columns.bytes, columns.sha256, columns.epoch,
            columns.step, columns.monitor, columns.value, columns.state, columns.created, columns.pinned,
            columns.kept,
        )  # fmt: skip
        path = func.coalesce(columns.original_path, columns.path)
        self.columns = {
            **self.columns,
            "state": _state_place(CHECKPOINT.c.state),
            "alias": alias_place({}),
            "path": replace(self.columns["path"], column=path),
        }

    def find(self, field: Field) -> Place | None:
        """Return the place of a field; states, and which are best and last, are only looked up when asked for."""
        is_bare = field.scope is None and field.function is None
        if is_bare and field.name == "alias":
            return alias_place(self._aliases())
        if is_bare and field.name == "state":
            return _state_place(self._state())
        return super().find(field)


def _state_place(state: Expression) -> Place:
    return Place(TEXT, state, certain=True, words=(*CheckpointState, OVERWRITTEN))


class DecisionFields(Fields):
    """The names that a filter of decisions may use."""

    def __init__(self, connection: Connection, status: Expression) -> None:
        super().__init__(connection, status)
        columns = DECISION.c
        self.columns = _of_run_and_policy() | column_places(
            columns.attempt, columns.epoch, columns.step, columns.monitor, columns.value, columns.best,
            columns.best_epoch, columns.wait, columns.verdict, columns.reason, columns.lr_before,
            columns.lr_after, columns.path, columns.decided, columns.superseded,
        )  # fmt: skip
        verdict = replace(self.columns["verdict"], words=tuple(VerdictWord))
        self.columns = {**self.columns, "verdict": verdict}


def run_metric(key: Expression, name: str, function: str, mode: str | None) -> SummaryPlace:
    """Return the place of a metric of a run: best, min, max, last, or the epoch or step of one of them.

    ``mode`` says which way is better; a metric without a best is asked for its last value. The usual
    order puts the better first, and for ``max(x)`` the highest.
    """
    columns = SUMMARY.c
    which, _, place = function.partition("_")
    which = (mode or "last") if which == "best" else which
    column = {
        "min": columns.min, "min_epoch": columns.min_epoch, "min_step": columns.min_step,
        "max": columns.max, "max_epoch": columns.max_epoch, "max_step": columns.max_step,
        "last": columns.last, "last_epoch": columns.last_epoch, "last_step": columns.last_step,
    }[f"{which}_{place}" if place else which]  # fmt: skip
    falling = mode == "max" if which == "last" else which == "max"
    return summary_place(key, name, column, falling=falling and not place)


def _run_columns(status: ColumnElement[str]) -> Columns:
    """Return the columns of a run, with its status as it is now."""
    return {**_RUN_COLUMNS, "status": Place(TEXT, status, certain=True, words=tuple(RunStatus))}


def _of_run_and_policy() -> dict[str, Place]:
    """Return the fields that checkpoints and decisions take from other tables."""
    return {"run": column_place(RUN.c.name), "policy": Place(TEXT, POLICY.c.kind)}
