"""Per run and metric of epochs: last, lowest and highest, kept in the epoch's own transaction.

Metrics that no epoch has are summarized in `tracker.storage.step_summaries`; an epoch's summary takes
the place of one of steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    case,
    delete,
    insert,
    null,
    or_,
    select,
    update,
)

from tracker.models import EPOCH, METRIC, OF_STEPS, RUN, SUMMARY
from tracker.storage import step_summaries
from tracker.storage.chunks import in_parts
from tracker.storage.statements import upserting
from tracker.values import MetricValue

_OF_JUDGED = and_(SUMMARY.c.run_id == RUN.c.id, SUMMARY.c.name == RUN.c.judged_by, ~OF_STEPS)
"""Links a run to the summary that it has a copy of."""

JUDGED = {
    "judged_min": select(SUMMARY.c.min).where(_OF_JUDGED).scalar_subquery(),
    "judged_max": select(SUMMARY.c.max).where(_OF_JUDGED).scalar_subquery(),
}
"""A run's copy of the summary of the metric that it is judged by, for an UPDATE of `RUN`."""

_THIS = RUN.c.id == bindparam("run")
_COPY = update(RUN).where(_THIS).values(**JUDGED)
_JUDGE_BY = update(RUN).where(_THIS).values(judged_by=bindparam("metric"))


def extend(connection: Connection, run: str, epoch: int, metrics: Sequence[MetricValue]) -> None:
    """Add a new epoch's metrics to the summaries."""
    rows = [
        (run, name, value, kind, epoch, value, epoch, value, epoch)
        if value is not None
        else (run, name, value, kind, epoch, None, None, None, None)
        for name, value, kind in metrics
    ]
    _EXTEND.run_each(connection, rows)


def _better(new: Mapping[str, Any]) -> dict[str, Any]:
    """Give the SQL that keeps what is lower or higher; NULL (a NaN) never wins, a summary of steps always loses."""
    old = SUMMARY.c
    lower = or_(OF_STEPS, old.min.is_(None), new["min"] < old.min)
    higher = or_(OF_STEPS, old.max.is_(None), new["max"] > old.max)
    later = or_(OF_STEPS, new["last_epoch"] >= old.last_epoch)
    return {
        "min": case((lower, new["min"]), else_=old.min),
        "min_epoch": case((lower, new["min_epoch"]), else_=old.min_epoch),
        "max": case((higher, new["max"]), else_=old.max),
        "max_epoch": case((higher, new["max_epoch"]), else_=old.max_epoch),
        "last": case((later, new["last"]), else_=old.last),
        "last_kind": case((later, new["last_kind"]), else_=old.last_kind),
        "last_epoch": case((later, new["last_epoch"]), else_=old.last_epoch),
        "min_step": null(),
        "max_step": null(),
        "last_step": null(),
    }


_EXTEND = upserting(
    SUMMARY,
    (
        "run_id", "name", "last", "last_kind", "last_epoch", "min", "min_epoch", "max", "max_epoch",
    ),
    ("run_id", "name"),
    _better,
)  # fmt: skip


def summarize(connection: Connection, run: str) -> None:
    """Rebuild a run's summaries from its effective epochs, and from its blocks for what no epoch has."""
    summarize_epochs(connection, run)
    step_summaries.rebuild(connection, run)


def summarize_epochs(connection: Connection, run: str) -> None:
    """Rebuild the summaries of a run's metrics of epochs; what is left without epochs is summarized by its steps."""
    of_epochs = SUMMARY.c.run_id == run, ~OF_STEPS
    earlier = set(connection.scalars(select(SUMMARY.c.name).where(*of_epochs)))
    summaries = _of_epochs(connection, run)
    connection.execute(delete(SUMMARY).where(*of_epochs))
    for names in in_parts(list(summaries)):
        connection.execute(
            delete(SUMMARY).where(SUMMARY.c.run_id == run, SUMMARY.c.name.in_(names))
        )
    if summaries:
        connection.execute(insert(SUMMARY), list(summaries.values()))
    connection.execute(_COPY, {"run": run})
    if without := earlier - summaries.keys():
        step_summaries.rebuild(connection, run, without)


def judge_by(connection: Connection, run: str, metric: str) -> None:
    """Have a run keep a copy of this metric's summary."""
    connection.execute(_JUDGE_BY, {"run": run, "metric": metric})
    connection.execute(_COPY, {"run": run})


def _of_epochs(connection: Connection, run: str) -> dict[str, dict[str, Any]]:
    """Return the summaries that the effective epochs make, by name."""
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
    return summaries
