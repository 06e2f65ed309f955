"""Epochs and their metrics, a row an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.sql.elements import ColumnElement

from tracker.errors import UnknownMetric, nearest
from tracker.filters.fields import EpochFields
from tracker.models import EPOCH, METRIC, RUN, SERIES, SUMMARY
from tracker.queries.listing import Column, Listing, columns, settled
from tracker.queries.resolve import labels
from tracker.queries.runs import Order, check_limit, check_syntax
from tracker.queries.selection import Asked, chosen_rows
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.values import brief, join, name_text

COLUMNS = columns("run. epoch# attempt# seconds learning_rate")
_SUPERSEDED = columns("superseded?")


def epochs(
    reader: Reader,
    ids: Sequence[str] | None = None,
    *,
    superseded: bool = False,
    where: str | None = None,
    order_by: Order = None,
    limit: int | None = None,
    called: Mapping[str, str] | None = None,
) -> Listing:
    """Return epochs: `COLUMNS`, then a column a metric in the order they were first logged.

    A metric called ``learning_rate`` fills that column; one whose name is another column's is called
    ``metrics.<name>``. With ``superseded`` there is a column of that name, and the epochs that a later
    attempt repeated are there too. ``called`` says what the runs are called, by id.
    """
    check_limit(limit)
    base = (*COLUMNS, *(_SUPERSEDED if superseded else ()))
    if reader.empty:
        check_syntax(where, order_by)
        return Listing(base)
    rows, chosen = _rows(reader, Asked(ids, where, order_by, limit), superseded)
    by_id = {row.id: row for row in rows}
    names, cells = _metrics(reader, chosen, by_id)
    rated = "learning_rate" in names
    titles = settled(
        (name for name in names if name != "learning_rate"), [one.name for one in base]
    )
    if called is None:
        called = labels(reader.connection, list({row.run_id: None for row in rows}))
    listed: list[Sequence[Any]] = []
    wanted = list(titles)
    for id_, run, attempt, epoch, _, seconds, rate, flag in rows:
        values = cells[id_]
        if rated:
            rate = values.get("learning_rate", rate)
        head = (called[run], epoch, attempt, seconds, rate)
        listed.append((*head, *((flag,) if superseded else ()), *map(values.get, wanted)))
    added = tuple(Column(title, "number") for title in titles.values())
    return Listing((*base, *added), listed)


def history(reader: Reader, run: str) -> list[dict[str, Any]]:
    """Return the effective epochs of a run: epoch, seconds, learning_rate, and metrics as they were logged.

    A metric that an epoch has not is not in its ``metrics``; a NaN is.
    """
    rows, chosen = _rows(reader, Asked([run]), False)
    _, cells = _metrics(reader, chosen, {row.id: row for row in rows})
    return [
        {
            "epoch": row.epoch,
            "seconds": row.seconds,
            "learning_rate": row.learning_rate,
            "metrics": cells[row.id],
        }
        for row in rows
    ]


def metric_of_runs(
    reader: Reader, ids: Sequence[str] | None, metric: str
) -> tuple[dict[str, str], dict[str, dict[int, float]]]:
    """Return one metric of each run: what the runs are called, and id → epoch → value.

    Raises:
        UnknownMetric: when none of the runs has it; names those there are.
    """
    if reader.empty:
        raise UnknownMetric(
            f"No run has a metric {brief(metric)}: no database at {reader.location} yet."
        )
    metric = name_text(metric)
    connection = reader.connection
    statement = (
        select(EPOCH.c.run_id, EPOCH.c.epoch, METRIC.c.value, METRIC.c.value_kind)
        .join_from(METRIC, EPOCH, METRIC.c.epoch_id == EPOCH.c.id)
        .join(RUN, RUN.c.id == EPOCH.c.run_id)
        .where(METRIC.c.name == metric, EPOCH.c.superseded.is_(False))
        .order_by(RUN.c.started, RUN.c.id, EPOCH.c.epoch)
    )
    found: dict[str, dict[int, float]] = {run: {} for run in ids or ()}
    for run, epoch, value, kind in in_chunks(connection, statement, EPOCH.c.run_id, ids):
        found.setdefault(run, {})[epoch] = join(value, kind)  # type: ignore[assignment]
    if not any(found.values()):
        raise UnknownMetric(_no_metric(reader, ids, metric))
    return labels(connection, list(found)), found


def _no_metric(reader: Reader, ids: Sequence[str] | None, metric: str) -> str:
    who = "No run" if ids is None else "None of these runs"
    if ids is not None and len(ids) == 1:
        who = f"The run {labels(reader.connection, ids)[ids[0]]} has no metric {brief(metric)}"
    else:
        who += f" has a metric {brief(metric)}"
    names = _known(reader, SUMMARY, ids)
    if metric in _known(reader, SERIES, ids):
        return (
            f"{brief(metric)} is a step metric: read it with tracker.metrics(…, names=[{brief(metric)}]). "
            f"Of metrics of epochs: {nearest(metric, names)}"
        )
    return f"{who}: {nearest(metric, names, most=20)}"


def _known(reader: Reader, table: Any, ids: Sequence[str] | None) -> list[str]:
    statement = select(table.c.name).distinct().order_by(table.c.name)
    found = in_chunks(reader.connection, statement, table.c.run_id, ids)
    return list(dict.fromkeys(name for (name,) in found))


def _rows(reader: Reader, asked: Asked, superseded: bool) -> tuple[list[Any], _Chosen]:
    statement = select(EPOCH).join_from(EPOCH, RUN, EPOCH.c.run_id == RUN.c.id)
    if not superseded:
        statement = statement.where(EPOCH.c.superseded.is_(False))
    order = EPOCH.c.epoch, EPOCH.c.attempt
    rows = chosen_rows(reader, statement, EPOCH, EpochFields, asked, *order)
    whole = asked.limit is None and asked.where is None
    return rows, _Chosen(asked.ids if whole else None, None if whole else [row.id for row in rows])


@dataclass(frozen=True)
class _Chosen:
    """Which metrics are wanted: those of runs (None: all), or of epochs."""

    runs: Sequence[str] | None
    epochs: Sequence[int] | None


def _metrics(
    reader: Reader, chosen: _Chosen, by_id: dict[int, Any]
) -> tuple[list[str], dict[int, dict[str, float]]]:
    """Return the metrics' names in the order they were first logged, and epoch id → name → value."""
    statement: Select[Any] = select(
        METRIC.c.epoch_id, METRIC.c.name, METRIC.c.value, METRIC.c.value_kind
    )
    column: ColumnElement[Any] = METRIC.c.epoch_id
    keys: Sequence[Any] | None = chosen.epochs
    if keys is None:
        column, keys = EPOCH.c.run_id, chosen.runs
        statement = statement.join_from(METRIC, EPOCH, METRIC.c.epoch_id == EPOCH.c.id)
    statement = statement.order_by(METRIC.c.epoch_id, METRIC.c.position)
    names: dict[str, None] = {}
    cells: dict[int, dict[str, float]] = {epoch: {} for epoch in by_id}
    for epoch, name, value, kind in in_chunks(reader.connection, statement, column, keys):
        there = cells.get(epoch)
        if there is not None:
            there[name] = value if kind == "finite" else join(value, kind)  # type: ignore[assignment]
            if name not in names:
                names[name] = None
    return list(names), cells
