"""Per run and metric: last, lowest and highest, kept in the epoch's own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, and_, case, delete, func, insert, select

from tracker.models import EPOCH, METRIC, SUMMARY
from tracker.storage.upsert import upsert


def extend(connection: Connection, run: str, epoch: int, rows: list[dict[str, Any]]) -> None:
    """Add a new epoch's metrics (rows of `METRIC`) to the summaries."""
    summaries = [
        {
            "run_id": run,
            "name": row["name"],
            "last": row["value"],
            "last_kind": row["value_kind"],
            "last_epoch": epoch,
            "min": row["value"],
            "max": row["value"],
            "min_epoch": None if row["value"] is None else epoch,
            "max_epoch": None if row["value"] is None else epoch,
        }
        for row in rows
    ]
    upsert(connection, SUMMARY, summaries, ("run_id", "name"), _better)


def _better(new: Mapping[str, Any]) -> dict[str, Any]:
    """Give the SQL that keeps what is lower or higher; NULL (a NaN) never wins."""
    old = SUMMARY.c
    lower = and_(new["min"].is_not(None), func.coalesce(new["min"] < old.min, True))
    higher = and_(new["max"].is_not(None), func.coalesce(new["max"] > old.max, True))
    later = new["last_epoch"] >= old.last_epoch
    return {
        "min": case((lower, new["min"]), else_=old.min),
        "min_epoch": case((lower, new["min_epoch"]), else_=old.min_epoch),
        "max": case((higher, new["max"]), else_=old.max),
        "max_epoch": case((higher, new["max_epoch"]), else_=old.max_epoch),
        "last": case((later, new["last"]), else_=old.last),
        "last_kind": case((later, new["last_kind"]), else_=old.last_kind),
        "last_epoch": case((later, new["last_epoch"]), else_=old.last_epoch),
    }


def summarize(connection: Connection, run: str) -> None:
    """Rebuild a run's summaries from its effective epochs."""
    connection.execute(delete(SUMMARY).where(SUMMARY.c.run_id == run))
    rows = connection.execute(
        select(EPOCH.c.epoch, METRIC.c.name, METRIC.c.value, METRIC.c.value_kind)
        .join_from(METRIC, EPOCH, METRIC.c.epoch_id == EPOCH.c.id)
        .where(EPOCH.c.run_id == run, EPOCH.c.superseded.is_(False))
        .order_by(EPOCH.c.epoch)
    )
    summaries: dict[str, dict[str, Any]] = {}
    for row in rows:
        summary = summaries.setdefault(
            row.name,
            {
                "run_id": run,
                "name": row.name,
                "min": None,
                "min_epoch": None,
                "max": None,
                "max_epoch": None,
            },
        )
        value, epoch = row.value, row.epoch
        summary.update(last=value, last_kind=row.value_kind, last_epoch=epoch)
        if value is not None and (summary["min"] is None or value < summary["min"]):
            summary.update(min=value, min_epoch=epoch)
        if value is not None and (summary["max"] is None or value > summary["max"]):
            summary.update(max=value, max_epoch=epoch)
    if summaries:
        connection.execute(insert(SUMMARY), list(summaries.values()))
