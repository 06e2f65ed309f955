"""Which metrics and params runs have, one row each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select

from tracker.errors import WhereError, nearest
from tracker.filters.compile import check_limit
from tracker.filters.parser import parse_order
from tracker.models import PARAM, RUN, SUMMARY
from tracker.queries.resolve import labels_of
from tracker.queries.result import Column, Listing
from tracker.queries.selection import Order
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.directions import Directions
from tracker.values import param_decode

METRIC_COLUMNS = (
    Column("metric", "text"),
    Column("logged", "text"),
    Column("better", "text"),
    Column("runs", "integer"),
    Column("min", "number"),
    Column("max", "number"),
    Column("best", "number"),
    Column("best_run", "text"),
)
PARAM_COLUMNS = (
    Column("param", "text"),
    Column("runs", "integer"),
    Column("different", "integer"),
    Column("min", "number"),
    Column("max", "number"),
    Column("values", "any"),
)
_MOST_VALUES = 10
"""Values of a param that are listed, the most frequent first."""

_BETTER = {"min": "lower", "max": "higher", None: None}


@dataclass
class _Metric:
    runs: int = 0
    with_epochs: int = 0
    low: float | None = None
    high: float | None = None


def metrics_in_use(
    reader: Reader,
    ids: Sequence[str] | None = None,
    *,
    order_by: Order = None,
    limit: int | None = None,
) -> Listing:
    """Return the runs' metrics with `METRIC_COLUMNS`, by name; of all runs for None.

    ``logged`` is "epoch" or "step", ``better`` is "lower", "higher" or None, ``best`` is the best value, and
    ``best_run`` the run that has it.
    """
    if reader.empty:
        return _ordered(Listing(METRIC_COLUMNS), order_by, limit)
    columns = SUMMARY.c
    statement = select(
        columns.name,
        func.count().label("runs"),
        func.count(columns.last_epoch).label("with_epochs"),
        func.min(columns.min).label("low"),
        func.max(columns.max).label("high"),
    ).group_by(columns.name)
    found: dict[str, _Metric] = {}
    for row in in_chunks(reader.connection, statement, columns.run_id, ids):
        metric = found.setdefault(row.name, _Metric())
        metric.runs += row.runs
        metric.with_epochs += row.with_epochs
        metric.low = min(_known(metric.low, row.low), default=None)
        metric.high = max(_known(metric.high, row.high), default=None)
    directions = Directions(reader.connection, ids)
    rows = []
    for name in sorted(found):
        metric, mode = found[name], directions.of(name).mode
        rows.append(
            {
                "metric": name,
                "logged": "epoch" if metric.with_epochs else "step",
                "better": _BETTER.get(mode),
                "runs": metric.runs,
                "min": metric.low,
                "max": metric.high,
                "best": {"min": metric.low, "max": metric.high}.get(mode or ""),
                "best_run": _holder(reader, ids, name, mode, metric),
            }
        )
    return _ordered(Listing.from_dicts(METRIC_COLUMNS, rows), order_by, limit)


def _known(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]


def _holder(
    reader: Reader, ids: Sequence[str] | None, name: str, mode: str | None, metric: _Metric
) -> str | None:
    """Return the label of the newest run that has the best value."""
    column, best = {
        "min": (SUMMARY.c.min, metric.low),
        "max": (SUMMARY.c.max, metric.high),
    }.get(mode or "", (SUMMARY.c.min, None))
    if best is None:
        return None
    statement = (
        select(SUMMARY.c.run_id)
        .join_from(SUMMARY, RUN, RUN.c.id == SUMMARY.c.run_id)
        .where(SUMMARY.c.name == name, column == best)
        .order_by(RUN.c.started.desc(), RUN.c.id)
    )
    wanted = None if ids is None else set(ids)
    holders = reader.connection.scalars(statement)
    run = next((one for one in holders if wanted is None or one in wanted), None)
    return None if run is None else labels_of(reader.connection, [run], ids)[run]


def params_in_use(
    reader: Reader,
    ids: Sequence[str] | None = None,
    *,
    order_by: Order = None,
    limit: int | None = None,
) -> Listing:
    """Return the runs' params with `PARAM_COLUMNS`, by name; of all runs for None.

    ``different`` counts the different values, and ``values`` has the most frequent of them.
    """
    if reader.empty:
        return _ordered(Listing(PARAM_COLUMNS), order_by, limit)
    columns = PARAM.c
    statement = select(
        columns.name, columns.kind, columns.text, columns.number, func.count().label("runs")
    ).group_by(columns.name, columns.kind, columns.text, columns.number)
    counts: dict[str, Counter[tuple[str, str]]] = {}
    numbers: dict[str, list[float]] = {}
    for row in in_chunks(reader.connection, statement, columns.run_id, ids):
        counts.setdefault(row.name, Counter())[row.kind, row.text] += row.runs
        if row.number is not None and row.kind != "bool":
            numbers.setdefault(row.name, []).append(row.number)
    rows = [
        {
            "param": name,
            "runs": counts[name].total(),
            "different": len(counts[name]),
            "min": min(numbers.get(name, []), default=None),
            "max": max(numbers.get(name, []), default=None),
            "values": _most_frequent(counts[name]),
        }
        for name in sorted(counts)
    ]
    return _ordered(Listing.from_dicts(PARAM_COLUMNS, rows), order_by, limit)


def _most_frequent(counts: Counter[tuple[str, str]]) -> list[Any]:
    """Return the most frequent values; of equally frequent ones the lowest numbers first, then the others."""
    values = [(count, param_decode(*value)) for value, count in counts.items()]
    values.sort(key=lambda pair: (-pair[0], *_place(pair[1])))
    return [value for _, value in values[:_MOST_VALUES]]


def _place(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return not is_number, value if is_number else 0.0, str(value)


def _ordered(listing: Listing, order_by: Order, limit: int | None) -> Listing:
    """Sort a listing by its own columns; rows without the value come last."""
    check_limit(limit)
    rows = list(listing.dicts())
    for key in reversed(parse_order(order_by or ())):
        name = key.field.name
        if name not in listing.names or key.field.scope or key.field.function:
            raise WhereError(
                f"There is no column {name!r}: {nearest(name, listing.names, most=20)}"
            )
        with_value = [row for row in rows if row[name] is not None]
        without = [row for row in rows if row[name] is None]
        falling = key.direction in {"reversed", "desc"}
        rows = sorted(with_value, key=lambda row: _sortable(row[name]), reverse=falling) + without
    return replace(listing, rows=Listing.from_dicts(listing.columns, _first(rows, limit)).rows)


def _sortable(value: Any) -> Any:
    return str(value) if isinstance(value, list) else value


def _first(rows: list[dict[str, Any]], limit: int | None) -> Iterable[dict[str, Any]]:
    return rows[:limit]
