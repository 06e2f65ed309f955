"""Epochs and their metrics, one row per epoch."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.sql.elements import ColumnElement

from tracker.filters.fields import EpochFields
from tracker.models import ATTEMPT, EPOCH, METRIC, RUN
from tracker.queries.resolve import labels, labels_of
from tracker.queries.result import Column, Listing, columns, metric_titles
from tracker.queries.selection import Order, Selection, of_run, selected_rows
from tracker.storage.checksums import is_intact
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.values import from_json, join

COLUMNS = columns(
    Column("run", "text"), EPOCH.c.epoch, EPOCH.c.attempt, EPOCH.c.seconds, EPOCH.c.learning_rate
)
_SUPERSEDED = columns(EPOCH.c.superseded)
_RATE = EPOCH.c.learning_rate.name
_MOST_REPORTED = 5
_KEY = (str, int, int)
"""What the run, the attempt and the number of an epoch are."""

log = logging.getLogger("tracker")


def epochs(
    reader: Reader,
    ids: Sequence[str] | None = None,
    *,
    superseded: bool = False,
    where: str | None = None,
    order_by: Order = None,
    limit: int | None = None,
    called: Mapping[str, str] | None = None,
    other_rates: bool = False,
) -> Listing:
    """Return epochs: `COLUMNS`, then a column per metric in the order they were first logged.

    A metric that has the name of a column gets the title ``metrics.<name>``. One named ``learning_rate`` does so only
    where it differs from the rate that an epoch was trained with (many loops log the next epoch's), and stands in its
    place where none was recorded. ``superseded`` adds the epochs that a later attempt repeated, and a column of that
    name. ``called`` has the labels of the runs, by id; ``other_rates`` has a title for logged rates in any case.
    """
    selection = Selection(ids, where, order_by, limit)
    own = (*COLUMNS, *(_SUPERSEDED if superseded else ()))
    if reader.empty:
        selection.check()
        return Listing(own)
    rows = _rows(reader, selection, superseded)
    names, metrics, damaged = _metrics(reader, selection, rows)
    differs = _RATE in names and (
        other_rates or any(_differs(row.learning_rate, metrics[row.id].get(_RATE)) for row in rows)
    )
    titles = metric_titles(
        (name for name in names if name != _RATE or differs), [column.name for column in own]
    )
    if called is None:
        called = labels_of(
            reader.connection, list({row.run_id: None for row in rows}), selection.ids
        )
    _report(damaged, called)
    head = Listing.from_dicts(
        own,
        (
            _row(row, called, metrics[row.id]) | (_UNKNOWN if row.id in damaged else {})
            for row in rows
        ),
    )
    added = tuple(Column(title, "number") for title in titles.values())
    return Listing(
        (*own, *added),
        [
            (*cells, *map(metrics[row.id].get, titles))
            for row, cells in zip(rows, head.rows, strict=True)
        ],
    )


def _row(epoch: Any, called: Mapping[str, str], metrics: Mapping[str, float]) -> dict[str, Any]:
    row = {**epoch._mapping, "run": called.get(epoch.run_id, epoch.run_id)}
    if row[_RATE] is None:
        row[_RATE] = metrics.get(_RATE)
    return row


_UNKNOWN = {_RATE: None, EPOCH.c.seconds.name: None}
"""What is not shown of a damaged epoch, beside its metrics."""


def _differs(trained_with: float | None, logged: float | None) -> bool:
    """Say whether a logged learning rate is another one than the recorded one, beyond single precision."""
    if trained_with is None or logged is None:
        return False
    return not math.isclose(trained_with, logged, rel_tol=1e-6, abs_tol=1e-45)


def has_other_rates(reader: Reader, ids: Sequence[str]) -> bool:
    """Say whether epochs of these runs have a metric ``learning_rate`` that is not the rate they were trained with."""
    statement = (
        select(EPOCH.c.learning_rate, METRIC.c.value, METRIC.c.value_kind)
        .join_from(METRIC, EPOCH, METRIC.c.epoch_id == EPOCH.c.id)
        .where(METRIC.c.name == _RATE, EPOCH.c.superseded.is_(False))
    )
    return any(
        _differs(row.learning_rate, join(row.value, row.value_kind))
        for row in in_chunks(reader.connection, statement, EPOCH.c.run_id, ids)
    )


def history(reader: Reader, run: str) -> list[dict[str, Any]]:
    """Return the effective epochs of a run: epoch, seconds, learning_rate, and metrics as they were logged.

    A metric that was not logged in an epoch is not in its ``metrics``; a NaN is.
    """
    selection = Selection([run])
    rows = _rows(reader, selection, superseded=False)
    _, metrics, damaged = _metrics(reader, selection, rows)
    if damaged:
        _report(damaged, labels(reader.connection, [run]))
    return [
        {
            "epoch": row.epoch,
            "seconds": row.seconds,
            "learning_rate": row.learning_rate,
            "metrics": metrics[row.id],
        }
        | (_UNKNOWN if row.id in damaged else {})
        for row in rows
    ]


@dataclass(frozen=True)
class CsvStyle:
    """What an export as CSV keeps of how a run was logged.

    Attributes:
        of_keras: whether the callbacks of ``tracker_keras`` recorded it: they capture what Keras it was.
        types: metric → "int", "bool", "float32" or "float16", where it was logged as something else than a float.
    """

    of_keras: bool = False
    types: Mapping[str, str] = field(default_factory=dict)


def csv_style(reader: Reader, run: str) -> CsvStyle:
    """Return how a run was logged, by what its attempts captured."""
    captured = select(ATTEMPT.c.captured).where(ATTEMPT.c.run_id == run).order_by(ATTEMPT.c.number)
    of_keras, types = False, dict[str, str]()
    for text in reader.connection.scalars(captured):
        found = from_json(text) or {}
        of_keras = of_keras or "keras" in found
        types |= found.get("metric_types") or {}
    return CsvStyle(of_keras, types)


def _rows(reader: Reader, selection: Selection, superseded: bool) -> list[Any]:
    statement = select(EPOCH).join_from(RUN, EPOCH, of_run(EPOCH, selection.order_by))
    if not superseded:
        statement = statement.where(EPOCH.c.superseded.is_(False))
    order = EPOCH.c.epoch, EPOCH.c.attempt
    rows = selected_rows(reader, statement, EPOCH, EpochFields, selection, *order)
    # SQLite says with each value of which type it is: a disk may have changed that, in an index as well.
    known = [row for row in rows if (type(row.run_id), type(row.attempt), type(row.epoch)) == _KEY]
    if len(known) < len(rows):
        log.warning(
            "local-tracker: %d epochs are left out: the disk has changed what they are known by. tracker db doctor "
            "says where.",
            len(rows) - len(known),
        )
    return known


def _metrics(
    reader: Reader, selection: Selection, epochs: Sequence[Any]
) -> tuple[list[str], dict[int, dict[str, float]], dict[int, Any]]:
    """Return the metrics' names in the order they were first logged, epoch id → name → value, and the damaged epochs.

    Those are by id. A damaged epoch has no metrics: nobody can say which of its values is the wrong one. Nor which of
    two is meant that have one id, as where an index was damaged.
    """
    statement: Select[Any] = select(
        METRIC.c.epoch_id, METRIC.c.name, METRIC.c.value, METRIC.c.value_kind
    )
    metrics: dict[int, dict[str, float]] = {epoch.id: {} for epoch in epochs}
    column: ColumnElement[Any] = METRIC.c.epoch_id
    keys: Sequence[Any] | None = list(metrics)
    if selection.limit is None and selection.where is None:
        # All epochs of these runs: fewer keys to name.
        column, keys = EPOCH.c.run_id, selection.ids
        statement = statement.join_from(METRIC, EPOCH, METRIC.c.epoch_id == EPOCH.c.id)
    statement = statement.order_by(METRIC.c.epoch_id, METRIC.c.position)
    rows = in_chunks(reader.connection, statement, column, keys)
    unread = {epoch.id: epoch for epoch in epochs}
    names: dict[str, None] = {}
    damaged: dict[int, Any] = {}
    for key, group in groupby(rows, itemgetter(0)):
        epoch = unread.pop(key, None)
        recorded = [(name, value, kind) for _, name, value, kind in group]
        if epoch is None:
            continue
        names.update(dict.fromkeys(name for name, _, _ in recorded))
        if not is_intact(epoch, recorded):
            damaged[key] = epoch
            continue
        metrics[key] = {
            name: value if kind == "finite" else join(value, kind)  # type: ignore[misc]
            for name, value, kind in recorded
        }
    damaged |= {key: epoch for key, epoch in unread.items() if not is_intact(epoch, [])}
    seen: set[int] = set()
    for epoch in epochs:
        if epoch.id in seen:
            damaged[epoch.id], metrics[epoch.id] = epoch, {}
        seen.add(epoch.id)
    return list(names), metrics, damaged


def _report(damaged: Mapping[int, Any], called: Mapping[str, str]) -> None:
    """Log which epochs are not shown, because they are not as they were recorded."""
    for epoch in [*damaged.values()][:_MOST_REPORTED]:
        log.warning(
            "local-tracker: epoch %s of %s is not as it was recorded: the disk has changed it, and its metrics are "
            "left out. tracker db doctor names each such epoch.",
            epoch.epoch, called.get(epoch.run_id, epoch.run_id),
        )  # fmt: skip
    if len(damaged) > _MOST_REPORTED:
        log.warning("local-tracker: %d more epochs are damaged.", len(damaged) - _MOST_REPORTED)
