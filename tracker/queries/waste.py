"""Epochs and seconds spent after the best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Select, and_, case, func, select

from tracker.errors import nearest
from tracker.filters.compile import check_limit
from tracker.filters.parser import parse_order
from tracker.filters.tree import SortKey, wrong
from tracker.models import EPOCH, OF_STEPS, RUN, SUMMARY
from tracker.queries.monitored import shared_monitor
from tracker.queries.resolve import labels
from tracker.queries.result import Column, Listing, columns
from tracker.queries.runs import overview
from tracker.queries.selection import Order
from tracker.queries.system import cost
from tracker.storage.chunks import in_chunks
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
    own = all(_name(key) in names for key in parse_order(order_by or _MOST_WASTEFUL))
    rows = _of_shared_metric(reader) if own and where is None and ids is None else None
    if rows is None:
        listing = overview(reader, where, None if own else order_by, None, ids)
        rows = _of_listed(reader, listing)
    if not rows:
        return Listing(COLUMNS)
    if own and "run" in map(_name, parse_order(order_by or ())):
        rows = _labelled(reader, rows)
    has_prices = any(row[COST.name] is not None for row in rows)
    listed = (*COLUMNS, COST) if has_prices else COLUMNS
    shown = (_sorted(listed, rows, order_by) if own else rows)[:limit]
    return Listing.from_dicts(listed, _labelled(reader, shown), run="id")


def _labelled(reader: Reader, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    called = labels(reader.connection, [row["id"] for row in rows])
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


def _of_shared_metric(reader: Reader) -> list[dict[str, Any]] | None:
    """Return what all runs spent, added up in the database; None where they are not all judged by one metric."""
    monitor = None if reader.empty else shared_monitor(reader.connection)
    if monitor is None:
        return None
    metric, mode = monitor
    spent = {
        row[0]: row[1:]
        for row in in_chunks(reader.connection, _after_best(metric, mode), EPOCH.c.run_id, None)
    }
    every = select(RUN.c.id, RUN.c.experiment, RUN.c.epochs, RUN.c.price_per_hour)
    rows, others = [], []
    for run, experiment, epochs, price in in_chunks(
        reader.connection, every.order_by(RUN.c.started.desc(), RUN.c.id), RUN.c.id, None
    ):
        if run not in spent:
            others.append(run)
            continue
        best, best_epoch, epochs_after, seconds_after, seconds = spent[run]
        if best_epoch is not None:
            rows.append(
                {
                    "id": run,
                    "experiment": experiment,
                    "monitor": metric,
                    "best": best,
                    "best_epoch": best_epoch,
                    "epochs": epochs,
                    "epochs_after": epochs_after,
                    "seconds_after": seconds_after,
                    "seconds": seconds,
                    "share": seconds_after / seconds if seconds else 0.0,
                    COST.name: cost(price, seconds_after),
                }
            )
    # Runs without that metric may have another one.
    if others and _of_listed(reader, overview(reader, ids=others)):
        return None
    return rows


def _after_best(metric: str, mode: str) -> Select[Any]:
    """Return the statement for a row per run with that metric: its best, and what it spent."""
    best, best_epoch = (
        (SUMMARY.c.max, SUMMARY.c.max_epoch)
        if mode == "max"
        else (SUMMARY.c.min, SUMMARY.c.min_epoch)
    )
    # By an expression, so that SQLite reads the epochs in the order of their runs, and sorts none of them.
    # A run has one summary of a metric, so that its highest best epoch is its own.
    return _sums(func.max(best), func.max(best_epoch), best_epoch=best_epoch).join_from(
        EPOCH,
        SUMMARY,
        and_(
            SUMMARY.c.run_id == func.coalesce(EPOCH.c.run_id, ""),
            SUMMARY.c.name == metric,
            ~OF_STEPS,
        ),
    )


def _sums(*columns: Any, best_epoch: Any) -> Select[Any]:
    """Return the statement that adds up the effective epochs of each run."""
    is_after = EPOCH.c.epoch > best_epoch
    return (
        select(
            EPOCH.c.run_id, *columns,
            func.count(case((is_after, EPOCH.c.epoch)).distinct()).label("epochs_after"),
            func.sum(case((is_after, EPOCH.c.seconds), else_=0.0)).label("seconds_after"),
            func.sum(EPOCH.c.seconds).label("seconds"),
        )
        .where(EPOCH.c.superseded.is_(False))
        .group_by(EPOCH.c.run_id)
    )  # fmt: skip


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
    return Listing.from_dicts(listed, _sorted(listed, rows, order_by)[:limit])


def _name(key: SortKey) -> str:
    """Return the name of the column that a key may mean."""
    field = key.field
    return field.name if field.scope is None and field.function is None else key.text


def _sorted(
    listed: Sequence[Column], rows: list[dict[str, Any]], order_by: Order
) -> list[dict[str, Any]]:
    """Sort rows by their own columns, upwards unless a key says otherwise."""
    names = [column.name for column in listed]
    for key in reversed(parse_order(order_by or _MOST_WASTEFUL)):
        if _name(key) not in names:
            hint = nearest(_name(key), names, what="there are", most=len(names))
            raise wrong(key.text, key.field.at, f"There is no column {_name(key)!r}: {hint}")
        descending = key.direction in ("reversed", "desc")
        known = [row for row in rows if row[_name(key)] is not None]
        rows = sorted(known, key=itemgetter(_name(key)), reverse=descending) + [
            row for row in rows if row[_name(key)] is None
        ]
    return rows


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
        statement = _sums(best_epoch=epoch)
        for row in in_chunks(reader.connection, statement, EPOCH.c.run_id, runs):
            found[row.run_id] = _Spent(row.epochs_after, row.seconds_after, row.seconds)
    return found
