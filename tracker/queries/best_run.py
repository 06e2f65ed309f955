"""The best run of an experiment, by one metric, and the file that holds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from tracker.errors import BadValue, UnknownMetric, nearest
from tracker.models import RUN, SUMMARY
from tracker.queries.checkpoints import checkpoints, has_alias
from tracker.queries.monitored import BestAndLast, best_and_last, most_judged, shared_monitor
from tracker.queries.runs import overview
from tracker.states import CheckpointState
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader
from tracker.storage.directions import Directions
from tracker.values import brief


@dataclass(frozen=True)
class BestRun:
    """The best run of an experiment.

    Attributes:
        run: its row of `tracker.queries.runs.COLUMNS`.
        metric: what it is the best by.
        best: its value, and the epoch or step of it.
        among: how many runs have a best value of that metric.
        checkpoint: the file of that epoch, with `tracker.queries.checkpoints.COLUMNS`; else the run's best
            one by that metric; None where there is neither. One that is available comes first; else its
            ``remote`` is the URL of a copy.
    """

    run: dict[str, Any]
    metric: str
    best: BestAndLast
    among: int
    checkpoint: dict[str, Any] | None

    @property
    def is_here(self) -> bool:
        """Whether the checkpoint's file is available, and not only a copy in a remote folder."""
        return self.checkpoint is not None and self.checkpoint["state"] == CheckpointState.AVAILABLE

    @property
    def has_its_file(self) -> bool:
        """Whether the checkpoint is of the best epoch itself."""
        return self.checkpoint is not None and self.checkpoint["epoch"] == self.best.best_epoch


def best_run(
    reader: Reader, experiment: str, *, metric: str | None = None, where: str | None = None
) -> BestRun:
    """Return the best run of an experiment, of those that pass the filter.

    Without ``metric`` it is the one that most of the runs monitored.

    Raises:
        BadValue: for an experiment that does not exist, or without a run to choose from.
        UnknownMetric: for a metric that none of the runs has, or that has no better or worse.
    """
    ids = _runs_of(reader, experiment, where)
    among = _Among(reader.connection, experiment, ids, is_all=where is None)
    name = metric if metric is not None else _usual_metric(reader, among)
    directions = Directions(reader.connection, ids)
    mode = directions.of(name).mode
    columns = SUMMARY.c
    extremes = select(columns.run_id, columns.min, columns.max).where(columns.name == name)
    summaries = list(among.rows(extremes))
    if not summaries:
        raise UnknownMetric(_no_metric(reader, ids, experiment, name))
    if mode is None:
        raise UnknownMetric(
            f"{brief(name)} has no best: declare which way is better with "
            f'run.define_metric({brief(name)}, mode="min"), or name another metric.'
        )
    differ = directions.differ(name)
    found: dict[str, float] = {}
    for run, low, high in summaries:
        own = directions.of(name, run).mode if differ else mode
        value = {"min": low, "max": high}.get(own or "")
        if value is not None:
            found[run] = value
    if not found:
        raise BadValue(f"No run of {experiment} has a value of {brief(name)} yet, other than NaN.")
    sign = -1 if mode == "max" else 1
    # Of equals it is the newest, as in a sorted listing.
    winner = min((run for run in ids if run in found), key=lambda run: sign * found[run])
    of_winner = select(SUMMARY).where(columns.run_id == winner, columns.name == name)
    best = best_and_last(reader.connection.execute(of_winner).one(), directions)
    (row,) = overview(reader, ids=[winner]).dicts()
    return BestRun(row, name, best, len(found), _file_of(reader, winner, best))


def _runs_of(reader: Reader, experiment: str, where: str | None) -> Sequence[str]:
    """Return the ids of the runs to choose from, newest first."""
    if reader.empty:
        raise BadValue(
            f"There is no experiment {experiment!r}: no database at {reader.location} yet."
        )
    statement = select(RUN.c.id).where(RUN.c.experiment == experiment)
    newest_first = statement.order_by(RUN.c.started.desc(), RUN.c.id)
    ids = list(reader.connection.scalars(newest_first))
    if not ids:
        known = select(RUN.c.experiment).distinct().order_by(RUN.c.experiment)
        names = list(reader.connection.scalars(known.limit(1000)))
        raise BadValue(f"There is no experiment {experiment!r}: {nearest(experiment, names)}")
    if where is None:
        return ids
    passing = overview(reader, where, ids=ids).cells("id")
    if not passing:
        raise BadValue(f"None of the {len(ids)} runs of {experiment} matches the filter.")
    return passing


@dataclass(frozen=True)
class _Among:
    """The runs to choose from, and whether they are all of the experiment."""

    connection: Connection
    experiment: str
    ids: Sequence[str]
    is_all: bool

    def rows(self, summaries: Select[Any]) -> Iterator[Any]:
        """Yield what a statement selects of the runs' `SUMMARY`."""
        if not self.is_all:
            yield from in_chunks(self.connection, summaries, SUMMARY.c.run_id, self.ids)
            return
        of_experiment = summaries.join_from(RUN, SUMMARY, SUMMARY.c.run_id == RUN.c.id)
        yield from self.connection.execute(of_experiment.where(RUN.c.experiment == self.experiment))


def _usual_metric(reader: Reader, among: _Among) -> str:
    """Return the metric that most runs are judged by."""
    if (name := _metric_of_most(among)) is not None:
        return name
    experiment = among.experiment
    rows = overview(reader, ids=among.ids).dicts()
    name = most_judged(row["monitor"] for row in rows if row["best"] is not None)
    if name is None:
        raise UnknownMetric(f"No run of {experiment} has a metric with a best value yet.")
    return name


def _metric_of_most(among: _Among) -> str | None:
    """Return the one metric that runs are judged by where they have it, if most of these do; no run is looked at."""
    shared = shared_monitor(among.connection)
    if shared is None:
        return None
    name, mode = shared
    value = SUMMARY.c.max if mode == "max" else SUMMARY.c.min
    # By an expression, so that the rows are found by their runs and not by the name, which all runs have.
    having = select(func.count(SUMMARY.c.run_id)).where(
        func.coalesce(SUMMARY.c.name, "") == name, SUMMARY.c.last_epoch.is_not(None), value.is_not(None)
    )  # fmt: skip
    return name if 2 * sum(count for (count,) in among.rows(having)) > len(among.ids) else None


def _no_metric(reader: Reader, ids: Sequence[str], experiment: str, name: str) -> str:
    statement = select(SUMMARY.c.name).distinct().order_by(SUMMARY.c.name)
    rows = in_chunks(reader.connection, statement, SUMMARY.c.run_id, ids)
    names = dict.fromkeys(row.name for row in rows)
    return f"No run of {experiment} has a metric {brief(name)}: {nearest(name, names, most=20)}"


def _file_of(reader: Reader, run: str, best: BestAndLast) -> dict[str, Any] | None:
    """Return the newest file of the best epoch, else the best one by that metric; rather one here than a copy."""
    rows = list(checkpoints(reader, [run]).dicts())
    here = [row for row in rows if row["state"] == CheckpointState.AVAILABLE]
    copied = [row for row in rows if row["remote"] is not None]
    for files in (here, copied):
        of_epoch = [row for row in files if row["epoch"] == best.best_epoch]
        if of_epoch and best.best_epoch is not None:
            return of_epoch[-1]
    for row in (*here, *copied):
        if row["monitor"] == best.monitor and has_alias(row, "best"):
            return row
    return None
