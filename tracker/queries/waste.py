"""Epochs and seconds spent after the best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, Connection, Label, Select, and_, case, func, select

from tracker.filters.compile import check_limit
from tracker.filters.parser import parse_order
from tracker.filters.tree import SortKey
from tracker.models import EPOCH, OF_STEPS, RUN, SUMMARY
from tracker.queries.monitored import shared_monitor
from tracker.queries.resolve import labels_by_name
from tracker.queries.result import Column, Listing, columns
from tracker.queries.runs import overview
from tracker.queries.selection import Order, sorted_by_columns
from tracker.queries.system import cost
from tracker.storage.chunks import CHUNK, in_chunks, plain_rows
from tracker.storage.database import Reader

_SUMS = columns(
    RUN.c.epochs, Column("epochs_after", "integer"), RUN.c.seconds, Column("seconds_after", "number"),
    Column("share", "number"),
)  # fmt: skip
COLUMNS = columns(
    Column("run", "text"), RUN.c.experiment, Column("monitor", "text"), Column("best", "number"),
    Column("best_epoch", "integer"), *_SUMS,
)  # fmt: skip
BY_EXPERIMENT = columns(RUN.c.experiment, Column("runs", "integer"), *_SUMS)
COST = Column("cost_after", "number")
"""Beside both, where somebody said what an hour of a run's machine costs."""
_MOST_WASTEFUL = "-seconds_after"


def waste(
    reader: Reader,
    where: str | None = None,
    order_by: Order = None,
    limit: int | None = None,
    ids: Sequence[str] | None = None,
) -> Listing:
    """Return what came after the best epoch, one row per run; ``share`` is that of its seconds, 0…1.

    ``cost_after`` is what the seconds after the best epoch cost, where `start_run(price_per_hour=)` was given.
    Runs without a best epoch are left out. ``order_by`` names columns of this listing, or else what runs
    are sorted by; without it the most wasteful run comes first. ``limit`` cuts what is sorted so.
    """
    check_limit(limit)
    names = {column.name for column in (*COLUMNS, COST)}
    keys = parse_order(order_by or _MOST_WASTEFUL)
    own = all(key.column in names for key in keys)
    spent = _of_shared_metric(reader) if own and where is None and ids is None else None
    if spent is None:
        listing = overview(reader, where, None if own else order_by, None, ids)
        rows = _of_listed(reader, listing)
        has_prices = any(row[COST.name] is not None for row in rows)
    else:
        rows, has_prices = spent.rows(keys, limit), spent.have_prices()
    if not rows:
        return Listing(COLUMNS)
    if own and "run" in [key.column for key in keys]:
        rows = _labelled(rows)
    listed = (*COLUMNS, COST) if has_prices else COLUMNS
    if own:
        names_listed = [column.name for column in listed]
        rows = sorted_by_columns(rows, names_listed, order_by or _MOST_WASTEFUL)
    shown = rows[:limit]
    return Listing.from_dicts(listed, _labelled(shown), run="id")


def _labelled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    called = labels_by_name({row["id"]: row["name"] for row in rows})
    return [{**row, "run": called[row["id"]]} for row in rows]


def _of_listed(reader: Reader, listing: Listing) -> list[dict[str, Any]]:
    """Return what the listed runs spent, of those that have a best epoch."""
    known = [row for row in listing.dicts() if row["best_epoch"] is not None]
    if not known:
        return []
    prices = _prices(reader, [row["id"] for row in known])
    spent = _spent(reader, {row["id"]: row["best_epoch"] for row in known})
    return [
        {
            **row,
            **(cells := spent.get(row["id"], _Spent()).cells()),
            COST.name: cost(prices.get(row["id"]), cells["seconds_after"]),
        }
        for row in known
    ]


def _of_shared_metric(reader: Reader) -> _AllRuns | None:
    """Return what all runs spent, for the database to add up; None where they are not all judged by one metric."""
    monitor = None if reader.empty else shared_monitor(reader.connection)
    if monitor is None:
        return None
    all_runs = _AllRuns(reader.connection, *monitor)
    # Runs without that metric may have another one.
    others = all_runs.without_metric()
    return None if others and _of_listed(reader, overview(reader, ids=others)) else all_runs


class _AllRuns:
    """All runs, judged by one metric of their epochs: what they spent is added up in the database."""

    def __init__(self, connection: Connection, metric: str, mode: str) -> None:
        self._connection, self._metric = connection, metric
        best, best_epoch = (
            (SUMMARY.c.max, SUMMARY.c.max_epoch)
            if mode == "max"
            else (SUMMARY.c.min, SUMMARY.c.min_epoch)
        )
        # A run has one summary of a metric, so that its highest best epoch is its own.
        self._best_epoch = func.max(best_epoch).label("best_epoch")
        self._numbers: dict[str, ColumnElement[Any]] = {
            "best": func.max(best).label("best"),
            "best_epoch": self._best_epoch,
            "epochs": RUN.c.epochs,
            **_sums(best_epoch),
        }
        spent, of_all = (self._numbers[name].element for name in ("seconds_after", "seconds"))
        self._share = case((of_all != 0, spent / of_all), else_=0.0)

    def without_metric(self) -> list[str]:
        """Return the runs that have no epoch with the metric."""
        statement = select(RUN.c.id).outerjoin_from(RUN, SUMMARY, self._of_metric)
        return list(self._connection.scalars(statement.where(SUMMARY.c.run_id.is_(None))))

    def have_prices(self) -> bool:
        """Return whether somebody said of one of the runs what an hour of its machine costs."""
        priced = select(RUN.c.id).where(RUN.c.price_per_hour.is_not(None)).limit(1)
        # Usually no run has a price; with the join, SQLite would look up a run for each summary to find that out.
        if self._connection.execute(priced).first() is None:
            return False
        with_metric = priced.join_from(RUN, SUMMARY, self._of_metric)
        return self._connection.execute(with_metric).first() is not None

    def rows(self, keys: Sequence[SortKey], limit: int | None) -> list[dict[str, Any]]:
        """Return what the runs spent, the newest first: of all, or of so many that come first by these keys."""
        statement = self._by_run(
            RUN.c.id, RUN.c.name, RUN.c.started, RUN.c.experiment, RUN.c.price_per_hour, *self._numbers.values()
        )  # fmt: skip
        names = list(statement.selected_columns.keys())
        first = self._first(keys, limit)
        found = chain.from_iterable(plain_rows(self._connection, statement, RUN.c.id, first))
        rows = [dict(zip(names, row, strict=True)) for row in found]
        for row in rows:
            spent, seconds = row["seconds_after"], row["seconds"]
            row["monitor"] = self._metric
            row["share"] = spent / seconds if seconds else 0.0
            row[COST.name] = cost(row["price_per_hour"], spent)
        rows.sort(key=lambda row: (-row["started"], row["id"]))
        return rows

    def _first(self, keys: Sequence[SortKey], limit: int | None) -> list[str] | None:
        """Return the runs that come first; None where not only numbers sort them, or all are wanted."""
        sortable = {**self._numbers, "share": self._share}
        if limit is None or limit > CHUNK or not sortable.keys() >= {key.column for key in keys}:
            return None
        order = [
            sortable[key.column].desc() if key.falls else sortable[key.column].asc() for key in keys
        ]
        statement = self._by_run(RUN.c.id).order_by(*order, RUN.c.started.desc(), RUN.c.id)
        return list(self._connection.scalars(statement.limit(limit)))

    def _by_run(self, *columns: Any) -> Select[Any]:
        """Return the statement for a row per run that has a best epoch.

        By outer joins, so that SQLite goes through all tables in the order of the runs, and sorts none of them.
        """
        effective = and_(EPOCH.c.run_id == SUMMARY.c.run_id, EPOCH.c.superseded.is_(False))
        return (
            select(*columns)
            .outerjoin_from(RUN, SUMMARY, self._of_metric)
            .outerjoin(EPOCH, effective)
            .group_by(RUN.c.id)
            .having(self._best_epoch.element.is_not(None))
        )

    @property
    def _of_metric(self) -> ColumnElement[bool]:
        return and_(SUMMARY.c.run_id == RUN.c.id, SUMMARY.c.name == self._metric, ~OF_STEPS)


def _sums(best_epoch: Any) -> dict[str, Label[Any]]:
    """Return what the effective epochs of a run add up to, by name."""
    is_after = EPOCH.c.epoch > best_epoch
    sums = {
        "epochs_after": func.count(case((is_after, EPOCH.c.epoch)).distinct()),
        "seconds_after": func.sum(case((is_after, EPOCH.c.seconds), else_=0.0)),
        "seconds": func.sum(EPOCH.c.seconds),
    }
    return {name: value.label(name) for name, value in sums.items()}


def by_experiment(listing: Listing, order_by: Order = None, limit: int | None = None) -> Listing:
    """Return the same per experiment: sorted by columns of `BY_EXPERIMENT`, else the most wasteful first.

    Raises:
        WhereError: for a sort key that is not a column; names those there are.
    """
    groups: dict[str, dict[str, Any]] = {}
    for row in listing.dicts():
        group = groups.setdefault(
            row["experiment"], {"runs": 0, "epochs": 0, "spent": _Spent(), COST.name: None}
        )
        if row.get(COST.name) is not None:
            group[COST.name] = (group[COST.name] or 0.0) + row[COST.name]
        group["runs"] += 1
        group["epochs"] += row["epochs"]
        group["spent"].add(row["epochs_after"], row["seconds_after"], row["seconds"])
    rows = [
        {"experiment": experiment, **group["spent"].cells(), **group}
        for experiment, group in groups.items()
    ]
    listed = (*BY_EXPERIMENT, COST) if COST in listing.columns else BY_EXPERIMENT
    names = [column.name for column in listed]
    rows = sorted_by_columns(rows, names, order_by or _MOST_WASTEFUL)
    return Listing.from_dicts(listed, rows[:limit])


def _prices(reader: Reader, ids: Sequence[str]) -> dict[str, float]:
    """Return what an hour of each run's machine costs, where somebody said so."""
    statement = select(RUN.c.id, RUN.c.price_per_hour).where(RUN.c.price_per_hour.is_not(None))
    rows = in_chunks(reader.connection, statement, RUN.c.id, ids) if ids else ()
    return {row.id: row.price_per_hour for row in rows}


@dataclass
class _Spent:
    """Epochs and seconds after the best epoch, and the seconds of all epochs."""

    epochs_after: int = 0
    seconds_after: float = 0.0
    seconds: float = 0.0

    def add(self, epochs_after: int, seconds_after: float, seconds: float) -> None:
        self.epochs_after += epochs_after
        self.seconds_after += seconds_after
        self.seconds += seconds

    def cells(self) -> dict[str, Any]:
        share = self.seconds_after / self.seconds if self.seconds else 0.0
        return {
            "epochs_after": self.epochs_after, "seconds_after": self.seconds_after, "seconds": self.seconds,
            "share": share,
        }  # fmt: skip


def _spent(reader: Reader, best: dict[str, int]) -> dict[str, _Spent]:
    """Return what each run spent; ``best`` has its best epoch. Added up in the database, run by run.

    The runs with one best epoch are asked for together: there are as many best epochs as a run has epochs at most.
    """
    runs_of: dict[int, list[str]] = {}
    for run, epoch in best.items():
        runs_of.setdefault(epoch, []).append(run)
    found: dict[str, _Spent] = {}
    for epoch, runs in runs_of.items():
        statement = (
            select(EPOCH.c.run_id, *_sums(epoch).values())
            .where(EPOCH.c.superseded.is_(False))
            .group_by(EPOCH.c.run_id)
        )
        for row in in_chunks(reader.connection, statement, EPOCH.c.run_id, runs):
            found[row.run_id] = _Spent(row.epochs_after, row.seconds_after, row.seconds)
    return found
