"""Runs side by side: the parameters that differ, and each metric's best, restored and last value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from tracker.models import EPOCH, FACT, METRIC, PARAM, SUMMARY
from tracker.queries.monitored import best_and_last
from tracker.queries.resolve import labels
from tracker.queries.result import Column, Listing
from tracker.queries.runs import overview
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.directions import Directions
from tracker.values import join, param_decode


@dataclass(frozen=True)
class MetricOfRun:
    """One metric of one run; ``restored`` is its value at the epoch whose weights were restored.

    A metric that no epoch has, has steps instead.
    """

    best: float | None
    best_epoch: int | None
    restored: float | None
    restored_epoch: int | None
    last: float | None
    last_epoch: int | None
    best_step: int | None = None
    restored_step: None = None
    last_step: int | None = None


@dataclass(frozen=True)
class RunComparison:
    """Runs side by side.

    Attributes:
        runs: its label → its row of `tracker.queries.runs.COLUMNS` as a dict.
        params: parameters (``params.x``) and captured facts (``captured.x``) that differ: name → a value per
            run, None where it has none.
        same: those that are equal in all runs: name → value.
        metrics: name → one per run, None where it has none.
    """

    runs: dict[str, dict[str, Any]]
    params: dict[str, list[Any]]
    same: dict[str, Any]
    metrics: dict[str, list[MetricOfRun | None]]


def compare(reader: Reader, ids: Sequence[str]) -> RunComparison:
    """Compare runs."""
    rows = {row["id"]: row for row in overview(reader, ids=ids).dicts()}
    called = labels(reader.connection, ids)
    differing, same = _settings(reader, ids)
    restored = {run: rows[run]["restored_epoch"] for run in ids}
    return RunComparison(
        {called[run]: rows[run] for run in ids}, differing, same, metrics_of(reader, ids, restored)
    )


def _settings(reader: Reader, ids: Sequence[str]) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Return params and captured facts by name: those that differ, and those that are the same."""
    places = {run: place for place, run in enumerate(ids)}
    cells: dict[str, list[tuple[str, str] | None]] = {}
    for scope, table in (("params", PARAM), ("captured", FACT)):
        for row in in_chunks(reader.connection, select(table), table.c.run_id, ids):
            if scope == "captured" and row.name.startswith(_BY_ACCIDENT):
                continue
            name = f"{scope}.{row.name}"
            cells.setdefault(name, [None] * len(ids))[places[row.run_id]] = row.kind, row.text
    values = {
        name: [None if cell is None else param_decode(*cell) for cell in row]
        for name, row in cells.items()
    }
    differing = {name: values[name] for name, row in cells.items() if len(set(row)) > 1}
    return differing, {name: row[0] for name, row in values.items() if name not in differing}


_BY_ACCIDENT = ("command", "folder", "checkpoint_folders", "machine.memory")
"""Captured facts that differ without making a difference."""


def metrics_of(
    reader: Reader, ids: Sequence[str], restored: dict[str, int | None]
) -> dict[str, list[MetricOfRun | None]]:
    """Return every metric of runs: name → one per run; ``restored`` has the epoch that each run restored."""
    places = {run: place for place, run in enumerate(ids)}
    at_restored = _at(reader, restored)
    directions = Directions(reader.connection, ids)
    found: dict[str, list[MetricOfRun | None]] = {}
    for summary in in_chunks(reader.connection, select(SUMMARY), SUMMARY.c.run_id, ids):
        monitor, run = best_and_last(summary, directions), summary.run_id
        found.setdefault(summary.name, [None] * len(ids))[places[run]] = MetricOfRun(
            monitor.best, monitor.best_epoch, at_restored.get((run, summary.name)), restored[run],
            monitor.last, monitor.last_epoch, best_step=monitor.best_step, last_step=monitor.last_step,
        )  # fmt: skip
    return found


def _at(reader: Reader, epochs: dict[str, int | None]) -> dict[tuple[str, str], float | None]:
    """Return the metrics of one effective epoch of each run."""
    wanted = {run: epoch for run, epoch in epochs.items() if epoch is not None}
    statement = (
        select(EPOCH.c.run_id, EPOCH.c.epoch, METRIC.c.name, METRIC.c.value, METRIC.c.value_kind)
        .join_from(METRIC, EPOCH, METRIC.c.epoch_id == EPOCH.c.id)
        .where(EPOCH.c.superseded.is_(False), EPOCH.c.epoch.in_(sorted(set(wanted.values()))))
    )
    return {
        (row.run_id, row.name): join(row.value, row.value_kind)
        for row in in_chunks(reader.connection, statement, EPOCH.c.run_id, wanted)
        if wanted[row.run_id] == row.epoch
    }


Together = Callable[[float | None, int | None, int | None], Any]


def listing(found: RunComparison, metrics: Sequence[str], everything: bool = False) -> Listing:
    """Lay a comparison out as a table: a row per field, a column per run; a value, its epoch and its step apart.

    Args:
        found: what was compared.
        metrics: which metrics.
        everything: also the params that are the same in all runs.
    """
    rows = fact_rows(found, everything)
    for name in metrics:
        rows += metric_rows(found, name)
    return Listing(columns_of(found), rows)


def columns_of(found: RunComparison) -> tuple[Column, ...]:
    """Return the columns of rows of a comparison: the field, then the runs."""
    return (Column("field", "text"), *(Column(name, "any") for name in found.runs))


def fact_rows(found: RunComparison, everything: bool = False) -> list[Sequence[Any]]:
    """Return a row for each column, param and captured fact; ``everything``: also those that are the same."""
    rows: list[Sequence[Any]] = []
    runs = list(found.runs.values())
    for name in ("id", "experiment", "status", "epochs", "seconds", "monitor"):
        rows.append([name, *(run[name] for run in runs)])
    for name, values in found.params.items():
        rows.append([name, *values])
    if everything:
        rows += [[name, *([value] * len(runs))] for name, value in found.same.items()]
    return rows


def metric_rows(
    found: RunComparison, name: str, together: Together | None = None
) -> list[Sequence[Any]]:
    """Return the rows of a metric: best, restored and last.

    ``together`` makes one cell of a value, its epoch and its step; without it these are rows of their own.
    """
    return [
        row
        for which in ("best", "restored", "last")
        for row in _metric_rows(name, which, found.metrics[name], together)
    ]


def _metric_rows(
    name: str, which: str, values: list[MetricOfRun | None], together: Together | None
) -> list[Sequence[Any]]:
    cells = [
        (None, None, None)
        if metric is None
        else tuple(getattr(metric, f"{which}{part}") for part in ("", "_epoch", "_step"))
        for metric in values
    ]
    if together is not None:
        return [[f"{name} {which}", *(together(*cell) for cell in cells)]]
    of_values, of_epochs, of_steps = zip(*cells, strict=True)
    rows: list[Sequence[Any]] = [
        [f"{name} {which}", *of_values],
        [f"{name} {which}_epoch", *of_epochs],
    ]
    if any(step is not None for step in of_steps):
        rows.append([f"{name} {which}_step", *of_steps])
    return rows
