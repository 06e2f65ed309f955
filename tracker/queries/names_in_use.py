"""Which metrics and params runs have, one row each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, bindparam, case, exists, func, select

from tracker.filters.compile import check_limit
from tracker.filters.fields import names_by_index
from tracker.models import PARAM, RUN, SUMMARY
from tracker.queries.resolve import labels_of
from tracker.queries.result import Column, Listing
from tracker.queries.selection import Order, sorted_by_columns
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
    with_epochs: bool = False
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
    found = _all_metrics(reader.connection) if ids is None else _metrics_of(reader.connection, ids)
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


def _all_metrics(connection: Connection) -> dict[str, _Metric]:
    """Return the metrics of all runs: each answer by an index, none by a look at all summaries."""
    columns = SUMMARY.c
    found: dict[str, _Metric] = {}
    for name in connection.scalars(names_by_index(SUMMARY)):
        of_name = columns.name == name
        runs, low, high, with_epochs = (
            connection.execute(statement.where(of_name)).scalar()
            for statement in (
                select(func.count()).select_from(SUMMARY),
                select(func.min(columns.min)),
                select(func.max(columns.max)),
                select(exists().where(of_name, columns.last_epoch.is_not(None))),
            )
        )
        found[name] = _Metric(int(runs or 0), bool(with_epochs), low, high)
    return found


def _metrics_of(connection: Connection, ids: Sequence[str]) -> dict[str, _Metric]:
    columns = SUMMARY.c
    statement = select(
        columns.name,
        func.count().label("runs"),
        func.count(columns.last_epoch).label("with_epochs"),
        func.min(columns.min).label("low"),
        func.max(columns.max).label("high"),
    ).group_by(columns.name)
    found: dict[str, _Metric] = {}
    for row in in_chunks(connection, statement, columns.run_id, ids):
        metric = found.setdefault(row.name, _Metric())
        metric.runs += row.runs
        metric.with_epochs = metric.with_epochs or row.with_epochs > 0
        metric.low = min(_known(metric.low, row.low), default=None)
        metric.high = max(_known(metric.high, row.high), default=None)
    return found


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
    found = _all_params(reader.connection) if ids is None else _params_of(reader.connection, ids)
    rows = [
        {
            "param": name,
            "runs": found[name].runs,
            "different": found[name].different,
            "min": found[name].low,
            "max": found[name].high,
            "values": _most_frequent(found[name].counts),
        }
        for name in sorted(found)
    ]
    return _ordered(Listing.from_dicts(PARAM_COLUMNS, rows), order_by, limit)


@dataclass
class _Param:
    """What runs have as a param; ``counts`` says how many have a value, of all or of the most frequent ones."""

    runs: int = 0
    different: int = 0
    low: float | None = None
    high: float | None = None
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, row: Any) -> None:
        """Add the runs that have one value."""
        value = row.kind, row.text
        self.different += value not in self.counts
        self.counts[value] += row.runs
        self.runs += row.runs
        if row.kind != "bool":
            self.extend(row.number, row.number)

    def extend(self, low: float | None, high: float | None) -> None:
        """Take in the lowest and the highest of some numbers."""
        self.low = min(_known(self.low, low), default=None)
        self.high = max(_known(self.high, high), default=None)


def _params_of(connection: Connection, ids: Sequence[str]) -> dict[str, _Param]:
    found: dict[str, _Param] = {}
    for row in in_chunks(connection, _BY_VALUE, PARAM.c.run_id, ids):
        found.setdefault(row.name, _Param()).add(row)
    return found


def _all_params(connection: Connection) -> dict[str, _Param]:
    """Return the params of all runs: numbers are counted in their index, and only the most frequent ones read."""
    found: dict[str, _Param] = {}
    for name in list(connection.scalars(names_by_index(PARAM))):
        param = found[name] = _Param()
        for others in _NOT_EXACT:
            for row in connection.execute(_BY_VALUE.where(PARAM.c.name == name, others)):
                param.add(row)
        numbers = connection.execute(_FREQUENT_NUMBERS, {"param": name}).all()
        for row in numbers:
            param.counts[row.kind, _text_of(row.number, row.kind)] = row.runs
        if numbers:
            param.runs += int(row.all_runs)
            param.different += row.different
            param.extend(row.low, row.high)
    return found


_EXACT = 2.0**53
"""Below it, but for 0, a number and its kind say the text of a param: no two texts have one number."""


_NOT_EXACT = (
    PARAM.c.number.is_(None), PARAM.c.number == 0, PARAM.c.number >= _EXACT, PARAM.c.number <= -_EXACT,
)  # fmt: skip
"""One by one, so that each is looked up in the index of the numbers."""
_BY_VALUE = select(
    PARAM.c.name, PARAM.c.kind, PARAM.c.text, PARAM.c.number, func.count().label("runs")
).group_by(PARAM.c.name, PARAM.c.kind, PARAM.c.text, PARAM.c.number)


_NUMBERS = (
    select(PARAM.c.number, PARAM.c.kind, func.count().label("runs"))
    .where(PARAM.c.name == bindparam("param"))
    .where(PARAM.c.number > -_EXACT, PARAM.c.number < _EXACT, PARAM.c.number != 0)
    .group_by(PARAM.c.number, PARAM.c.kind)
    .subquery()
    .c
)
_IS_BOOL = case((_NUMBERS.kind == "bool", 1), else_=0)
_OWN = case((_NUMBERS.kind != "bool", _NUMBERS.number))
_FREQUENT_NUMBERS = (
    select(
        _NUMBERS.number,
        _NUMBERS.kind,
        _NUMBERS.runs,
        func.count().over().label("different"),
        func.sum(_NUMBERS.runs).over().label("all_runs"),
        func.min(_OWN).over().label("low"),
        func.max(_OWN).over().label("high"),
    )
    .order_by(_NUMBERS.runs.desc(), _IS_BOOL, _NUMBERS.number, _NUMBERS.kind.desc())
    .limit(_MOST_VALUES)
)
"""Of equally frequent ones the lowest; each row also has what all of them come to."""


def _text_of(number: float, kind: str) -> str:
    if kind == "bool":
        return "true"
    return str(int(number)) if kind == "int" else repr(number)


def _most_frequent(counts: Counter[tuple[str, str]]) -> list[Any]:
    """Return the most frequent values; of equally frequent ones numbers first, from the lowest, NaN last."""
    values = [(count, param_decode(*value)) for value, count in counts.items()]
    values.sort(key=lambda pair: (-pair[0], *_place(pair[1])))
    return [value for _, value in values[:_MOST_VALUES]]


def _place(value: Any) -> tuple[bool, bool, float, str]:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    is_nan = value != value
    return not is_number, is_nan, value if is_number and not is_nan else 0.0, str(value)


def _ordered(listing: Listing, order_by: Order, limit: int | None) -> Listing:
    """Sort a listing by its own columns; rows without the value come last."""
    check_limit(limit)
    rows = sorted_by_columns(list(listing.dicts()), listing.names, order_by)
    return replace(listing, rows=Listing.from_dicts(listing.columns, rows[:limit]).rows)
