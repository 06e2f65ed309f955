"""One metric of several runs, over their epochs or, where no epoch has it, over their steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Table, select

from tracker.errors import UnknownMetric, nearest
from tracker.models import EPOCH, METRIC, RUN, SERIES, SUMMARY
from tracker.queries.points import points
from tracker.queries.resolve import labels, labels_of
from tracker.queries.result import Listing
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.values import brief, join, name_text


@dataclass(frozen=True)
class Curves:
    """A metric of each run: by the run's label, epoch or step → value."""

    over: Literal["epoch", "step"]
    values: dict[str, dict[int, float]]


def curves(reader: Reader, ids: Sequence[str] | None, metric: str) -> Curves:
    """Return one metric of these runs; of all that have it, oldest first, where ids is None.

    Of a step that was logged several times it is the last value.

    Raises:
        UnknownMetric: when none of the runs has it; names those that they have.
    """
    if reader.empty:
        raise UnknownMetric(
            f"No run has a metric {brief(metric)}: no database at {reader.location} yet."
        )
    metric = name_text(metric)
    found = _over_epochs(reader, ids, metric)
    if any(found.values()):
        called = labels_of(reader.connection, list(found), ids)
        return Curves("epoch", {called[run]: curve for run, curve in found.items()})
    if metric in _names(reader, SERIES, ids):
        return Curves("step", _over_steps(reader, ids, metric))
    raise UnknownMetric(_no_metric(reader, ids, metric))


@dataclass(frozen=True)
class MonitoredCurve:
    """The metric that a run is judged by, over its epochs: epoch → value."""

    metric: str
    values: dict[int, float]


def monitored_curves(reader: Reader, listing: Listing, most: int) -> dict[str, MonitoredCurve]:
    """Return, by id, the curves of the runs of an `overview` that have epochs; of a long one about ``most`` points."""
    alike: dict[tuple[str, int], list[str]] = {}
    for row in listing.dicts():
        if row["monitor"] is not None and row["epochs"]:
            # Powers of two, so that few statements serve runs of many lengths.
            every = 1 << max(0, math.ceil(math.log2(row["epochs"] / most)))
            alike.setdefault((row["monitor"], every), []).append(row["id"])
    return {
        run: MonitoredCurve(metric, values)
        for (metric, every), ids in alike.items()
        for run, values in _over_epochs(reader, ids, metric, every).items()
        if values
    }


def _over_epochs(
    reader: Reader, ids: Sequence[str] | None, metric: str, every: int = 1
) -> dict[str, dict[int, float]]:
    statement = (
        select(EPOCH.c.run_id, EPOCH.c.epoch, METRIC.c.value, METRIC.c.value_kind)
        .join_from(METRIC, EPOCH, METRIC.c.epoch_id == EPOCH.c.id)
        .join(RUN, RUN.c.id == EPOCH.c.run_id)
        .where(METRIC.c.name == metric, EPOCH.c.superseded.is_(False))
        .order_by(RUN.c.started, RUN.c.id, EPOCH.c.epoch)
    )
    if every > 1:
        statement = statement.where(EPOCH.c.epoch % every == 0)
    found: dict[str, dict[int, float]] = {run: {} for run in ids or ()}
    for row in in_chunks(reader.connection, statement, EPOCH.c.run_id, ids):
        value = join(row.value, row.value_kind)
        found.setdefault(row.run_id, {})[row.epoch] = value  # type: ignore[assignment]
    return found


def _over_steps(
    reader: Reader, ids: Sequence[str] | None, metric: str
) -> dict[str, dict[int, float]]:
    found = points(reader, ids, names=[metric])
    curves: list[dict[int, float]] = [{} for _ in found.runs]
    columns = found.columns
    for run, step, value in zip(
        columns.run.tolist(), columns.step.tolist(), columns.value.tolist(), strict=True
    ):
        curves[run][step] = value
    return dict(zip(found.runs, curves, strict=True))


def _no_metric(reader: Reader, ids: Sequence[str] | None, metric: str) -> str:
    if ids is not None and len(ids) == 1:
        who = f"The run {labels(reader.connection, ids)[ids[0]]} has no metric {brief(metric)}"
    else:
        who = f"{'No run' if ids is None else 'None of these runs'} has a metric {brief(metric)}"
    names = dict.fromkeys([*_names(reader, SUMMARY, ids), *_names(reader, SERIES, ids)])
    return f"{who}: {nearest(metric, list(names), most=20)}"


def _names(reader: Reader, table: Table, ids: Sequence[str] | None) -> list[str]:
    statement = select(table.c.name).distinct().order_by(table.c.name)
    rows = in_chunks(reader.connection, statement, table.c.run_id, ids)
    return list(dict.fromkeys(row.name for row in rows))
