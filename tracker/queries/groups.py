"""Runs by groups: one row per value of a field, or of several: how many they are, how long, and what they came to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, select
from sqlalchemy.sql.selectable import NamedFromClause

from tracker.errors import BadValue
from tracker.filters.compile import condition, places
from tracker.filters.fields import Fields
from tracker.filters.parser import parse_order
from tracker.filters.targets import LabelPlace, Place
from tracker.filters.tree import SortKey
from tracker.models import RUN, SUMMARY, TAG
from tracker.queries.monitored import shared_monitor
from tracker.queries.result import Column, Kind, Listing
from tracker.queries.run_fields import known_kind, run_fields
from tracker.queries.runs import COLUMNS, overview
from tracker.queries.selection import Order
from tracker.queries.status import dead_runs, status_now
from tracker.states import RunStatus
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.directions import Directions
from tracker.values import param_decode

COUNTED = (
    Column("runs", "integer"), Column("running", "integer"), Column("seconds", "number"),
    Column("started", "time"),
)  # fmt: skip
JUDGED = (
    Column("metric", "text"), Column("best", "number"), Column("best_run", "text"),
    Column("mean", "number"), Column("std", "number"),
)  # fmt: skip
_STORED = ("experiment", "status", "name", "epochs", "parent")
"""Columns of a run that are in the database as they are shown."""


def groups(
    reader: Reader,
    by: Order,
    where: str | None = None,
    order_by: Order = None,
    ids: Sequence[str] | None = None,
    limit: int | None = None,
    *,
    judged: bool = True,
) -> Listing:
    """Return one row per group of runs: the keys, then `COUNTED`, then `JUDGED`.

    ``running`` counts those that are being recorded, ``seconds`` is the sum over the group, ``started`` that of its
    newest run. ``metric`` is the one that most runs of the group are judged by; ``mean`` and ``std`` (of a sample,
    n - 1) are of its best values, over the runs that are judged by it.

    Args:
        reader: an open database.
        by: fields, as sort keys name them; a direction is ignored.
        where, ids: which runs, as in `overview`.
        order_by: how runs are sorted; a group stands where its first run does. None: the newest first.
        limit: at most so many groups.
        judged: False to leave `JUDGED` out: most fields are then counted in the database, however many runs there are.

    Raises:
        BadValue: without a field.
        WhereError: for a filter or a field that cannot be read, or is not known.
    """
    keys = parse_order(by or ())
    if not keys:
        raise BadValue("Runs are grouped by a field: name it, such as experiment or params.lr.")
    if order_by is None and ids is None and not reader.empty:
        fields = Fields(reader.connection, status_now(dead_runs(reader.connection)))
        monitor = None
        if all(_is_stored(key, fields) for key in keys) and (
            not judged or (monitor := shared_monitor(reader.connection)) is not None
        ):
            found = zip(keys, places(keys, fields), strict=True)
            stored = [_Key(key, place) for key, (_, place) in found]
            if monitor is not None:
                return _of_one_metric(reader, stored, where, fields, monitor, limit)
            counted = _counted(reader, stored, where, fields)
            return Listing(counted.columns, counted.rows[:limit])
    return _of_listed(reader, overview(reader, where, order_by, None, ids), keys, limit, judged)


def _is_bare(key: SortKey) -> bool:
    return key.field.scope is None and key.field.function is None


def _is_stored(key: SortKey, fields: Fields) -> bool:
    """Return whether the database has what the listing shows."""
    if _is_bare(key) and key.field.name in {column.name for column in COLUMNS}:
        return key.field.name in _STORED
    return isinstance(fields.find(key.field), LabelPlace)


class _Key:
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


def _heads(keys: Sequence[_Key], groups: Sequence[Sequence[Any]]) -> list[Column]:
    """Return the columns of the keys, by the values that they have in all groups."""
    return [
        Column(key.name, key.kind or known_kind(values[place] for values in groups))
        for place, key in enumerate(keys)
    ]


def _with_keys(
    statement: Select[Any], keys: Sequence[_Key], where: str | None, fields: Fields
) -> Select[Any]:
    """Return the statement with the rows that the keys are in, of the runs that pass the filter."""
    statement = statement.select_from(RUN)
    for key in keys:
        if key.row is not None:
            statement = statement.outerjoin(key.row, key.link)
    test = condition(where, fields)
    return statement if test is None else statement.where(test)


def _counted(reader: Reader, keys: Sequence[_Key], where: str | None, fields: Fields) -> Listing:
    """Count in the database."""
    found: dict[tuple[Any, ...], tuple[list[Any], dict[str, Any]]] = {}
    for row in reader.connection.execute(_sums(keys, where, fields)):
        cells = iter(row)
        values = [key.value(cells) for key in keys]
        counts = {column.name: getattr(row, column.name) for column in COUNTED}
        same = tuple(map(_sameness, values))
        # What is one value to a person, such as 1 and 1.0, may be several in the database.
        first, before = found.get(same, (values, {}))
        found[same] = first, _added(before, counts) if before else counts
    heads = _heads(keys, [values for values, _ in found.values()])
    rows = [(*values, *counts.values()) for values, counts in found.values()]
    return Listing((*heads, *COUNTED), rows)


def _sums(keys: Sequence[_Key], where: str | None, fields: Fields) -> Select[Any]:
    """Return the statement that counts, the newest group first."""
    status = fields.columns["status"].column
    running = case((status == RunStatus.RUNNING.value, 1), else_=0)
    columns = [column for key in keys for column in key.columns]
    named = [column.label(f"key_{place}") for place, column in enumerate(columns)]
    statement = select(*named, running.label("running"), RUN.c.seconds, RUN.c.started)
    rows = _with_keys(statement, keys, where, fields).subquery().c
    own = [rows[column.name] for column in named]
    newest = func.max(rows.started)
    return (
        select(
            *own, func.count().label("runs"), func.sum(rows.running).label("running"),
            func.sum(rows.seconds).label("seconds"), newest.label("started"),
        )
        .group_by(*own)
        .order_by(newest.desc())
    )  # fmt: skip


def _of_one_metric(
    reader: Reader,
    keys: Sequence[_Key],
    where: str | None,
    fields: Fields,
    monitor: tuple[str, str],
    limit: int | None,
) -> Listing:
    """Group runs that are judged by one metric: a row of the database for each, and nothing else of it."""
    metric, mode = monitor
    statement = _judged_rows(keys, where, fields, metric, mode)
    members: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    values: dict[tuple[Any, ...], list[Any]] = {}
    others: dict[str, dict[str, Any]] = {}
    # Many runs have the same value: it is taken apart once.
    known_cells: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for run, name, status, seconds, started, best, kind, *cells in in_chunks(
        reader.connection, statement, RUN.c.id, None
    ):
        stored = tuple(cells)
        if stored not in known_cells:
            left = iter(cells)
            group = [key.value(left) for key in keys]
            same = known_cells[stored] = tuple(map(_sameness, group))
            if same not in members:
                members[same], values[same] = [], group
        row = {
            "name": name, "status": status, "seconds": seconds, "started": started,
            "monitor": metric, "best": best,
        }  # fmt: skip
        if kind is None:
            others[run] = row
        members[known_cells[stored]].append(row)
    # A run without that metric is judged by another one.
    listed = overview(reader, ids=list(others)) if others else Listing(COLUMNS)
    for known in listed.dicts():
        others[known["id"]] |= {"monitor": known["monitor"], "best": known["best"]}
    modes = {**_modes(reader, listed), metric: mode}
    heads = _heads(keys, list(values.values()))
    rows = [
        (*values[same], *_counts(runs), *_judgement(runs, modes)) for same, runs in members.items()
    ]
    return Listing((*heads, *COUNTED, *JUDGED), rows[:limit])


def _judged_rows(
    keys: Sequence[_Key], where: str | None, fields: Fields, metric: str, mode: str
) -> Select[Any]:
    """Return the statement for a row per run, the newest first; its best is NULL without the metric."""
    best = SUMMARY.c.max if mode == "max" else SUMMARY.c.min
    status = fields.columns["status"].column
    own = [column for key in keys for column in key.columns]
    of_metric = and_(
        SUMMARY.c.run_id == RUN.c.id, SUMMARY.c.name == metric, SUMMARY.c.last_epoch.is_not(None)
    )
    statement = select(
        RUN.c.id, RUN.c.name, status, RUN.c.seconds, RUN.c.started, best, SUMMARY.c.last_kind, *own
    )
    statement = _with_keys(statement, keys, where, fields).outerjoin(SUMMARY, of_metric)
    return statement.order_by(RUN.c.started.desc(), RUN.c.id)


def _added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    sums = {name: one[name] + other[name] for name in ("runs", "running", "seconds")}
    return {**sums, "started": max(one["started"], other["started"])}


def _of_listed(
    reader: Reader, listed: Listing, keys: Sequence[SortKey], limit: int | None, judged: bool
) -> Listing:
    """Group runs that are listed."""
    fields = run_fields(reader, listed, [key.text for key in keys])
    members: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    values: dict[tuple[Any, ...], list[Any]] = {}
    for row in listed.dicts():
        group = [field.values.get(row["id"]) for field in fields]
        same = tuple(map(_sameness, group))
        values.setdefault(same, group)
        members.setdefault(same, []).append(row)
    modes = _modes(reader, listed) if judged else {}
    rows = [
        (*values[same], *_counts(runs), *(_judgement(runs, modes) if judged else ()))
        for same, runs in members.items()
    ]
    heads = (*(field.column for field in fields), *COUNTED, *(JUDGED if judged else ()))
    return Listing(heads, rows[:limit])


def _sameness(value: Any) -> Any:
    """Return what is equal for values of one group: 1 and 1.0 are, 1 and true are not, and one NaN is as another."""
    if isinstance(value, float) and math.isnan(value):
        return "nan", None
    return type(value).__name__ if isinstance(value, bool) else "", str(value) if isinstance(
        value, list | dict
    ) else value


def _counts(runs: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    running = sum(row["status"] == RunStatus.RUNNING for row in runs)
    return (
        len(runs),
        running,
        math.fsum(row["seconds"] for row in runs),
        max(row["started"] for row in runs),
    )


def _modes(reader: Reader, listed: Listing) -> dict[str, str | None]:
    """Return which way is better for the metrics that runs are judged by."""
    if reader.empty:
        return {}
    directions = Directions(reader.connection, listed.cells("id"))
    judged = zip(listed.cells("monitor"), listed.cells("id"), strict=True)
    return {name: directions.of(name, run).mode for name, run in judged if name is not None}


def _judgement(runs: Iterable[dict[str, Any]], modes: Mapping[str, str | None]) -> tuple[Any, ...]:
    with_best = [row for row in runs if row["best"] is not None]
    if not with_best:
        return (None,) * len(JUDGED)
    names = [row["monitor"] for row in with_best]
    metric = max(dict.fromkeys(names), key=names.count)
    judged = [row for row in with_best if row["monitor"] == metric]
    pick = max if modes.get(metric) == "max" else min
    best = pick(judged, key=lambda row: row["best"])
    values = [row["best"] for row in judged]
    mean = math.fsum(values) / len(values)
    spread = math.fsum((value - mean) ** 2 for value in values)
    std = math.sqrt(spread / (len(values) - 1)) if len(values) > 1 else None
    return metric, best["best"], best["name"], mean, std
