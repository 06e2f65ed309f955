"""Everything that is known of one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from tracker.models import ATTEMPT, EPOCH, PARAM, POLICY, RUN, SUMMARY, TAG
from tracker.queries.blocks import last_points, point_counts
from tracker.queries.callbacks import changed, newest
from tracker.queries.checkpoints import checkpoints
from tracker.queries.compare import metrics_of
from tracker.queries.decisions import decisions
from tracker.queries.pending import (
    PendingRecords,
    RefusedRecords,
    pending_records,
    refused_records,
)
from tracker.queries.result import Listing
from tracker.queries.runs import overview
from tracker.queries.status import dead_runs
from tracker.queries.system import Measured, cost, system_of
from tracker.states import RunStatus, VerdictWord
from tracker.storage.database import Reader
from tracker.values import from_json, param_decode


@dataclass(frozen=True)
class Details:
    """One run.

    Attributes:
        run: its row of `tracker.queries.runs.COLUMNS`.
        params, tags: by name.
        metrics: name → last, min, max and best, each with its epoch (``last_epoch`` …) or, of a metric that no
            epoch has, its step (``last_step`` …), and restored.
        attempts: one dict each, ``captured`` read from JSON, ``status`` as it is now, ``seconds`` up to the
            end, else to the last that was heard of it.
        policies: of the newest attempt that has some: policy, monitor, rules, config, and of the arguments
            that were others in the attempt before, those (``was``).
        checkpoints: as `tracker.queries.checkpoints`.
        superseded: how many epochs a later attempt repeated.
        points: how many effective points of step metrics there are, by name.
        last_points: the value of the last point of each, None where its block is damaged.
        children: ids and names of the runs that belong to it.
        parent: the name of the run that it belongs to.
        stop: the decision that stopped the training, with `tracker.queries.decisions.COLUMNS`, or None.
        held_epoch: the epoch whose weights the model held at the end.
        waiting: records that the database could not take so far, and in which files they are.
        refused: records that it never takes as they are, and in which files they are kept.
        system: what was measured of the machine, by name; ``energy_joules``: what its cards took, or None.
        price_per_hour: what an hour of it costs, or None; ``cost``: what all attempts cost.
    """

    run: dict[str, Any]
    params: dict[str, Any]
    tags: dict[str, str]
    metrics: dict[str, dict[str, Any]]
    attempts: list[dict[str, Any]]
    policies: list[dict[str, Any]]
    checkpoints: Listing
    superseded: int
    points: dict[str, int]
    last_points: dict[str, float | None]
    children: dict[str, str]
    parent: str | None
    stop: dict[str, Any] | None
    held_epoch: int | None
    waiting: list[PendingRecords]
    refused: list[RefusedRecords]
    system: dict[str, Measured]
    energy_joules: float | None
    price_per_hour: float | None
    cost: float | None


def details(reader: Reader, run: str) -> Details:
    """Return what is known of the run with this id."""
    row = next(overview(reader, ids=[run]).dicts())
    rows = _Rows(reader, run)
    metrics = _metrics(reader, rows, run, row["restored_epoch"])
    of_epochs = (metric["last_epoch"] for metric in metrics.values())
    last = max((epoch for epoch in of_epochs if epoch is not None), default=None)
    restored = row["restored_epoch"]
    attempts = _attempts(reader, rows, run)
    (price,) = reader.connection.scalars(select(RUN.c.price_per_hour).where(RUN.c.id == run))
    system = system_of(reader, run)
    stops = list(decisions(reader, [run], verdict=VerdictWord.STOPPED).dicts())
    return Details(
        run=row,
        params={param.name: param_decode(param.kind, param.text) for param in rows.of(PARAM)},
        tags={tag.name: tag.value for tag in sorted(rows.of(TAG), key=lambda tag: tag.name)},
        metrics=metrics,
        attempts=attempts,
        policies=_policies(rows),
        checkpoints=checkpoints(reader, [run]),
        superseded=rows.count(EPOCH, EPOCH.c.superseded.is_(True)),
        points=point_counts(reader, run),
        last_points=last_points(reader, run),
        children=rows.names(RUN.c.parent_id == run),
        parent=next(iter(rows.names(RUN.c.id == row["parent"]).values()), None),
        stop=stops[-1] if stops else None,
        held_epoch=last if restored is None else restored,
        waiting=pending_records(reader, run),
        refused=refused_records(reader, run),
        system=system.measured,
        energy_joules=system.energy_joules,
        price_per_hour=price,
        cost=cost(price, sum(attempt["seconds"] for attempt in attempts)),
    )


class _Rows:
    def __init__(self, reader: Reader, run: str) -> None:
        self._connection = reader.connection
        self._run = run

    def of(self, table: Any, *order: Any) -> list[Any]:
        statement = select(table).where(table.c.run_id == self._run).order_by(*order)
        return list(self._connection.execute(statement))

    def count(self, table: Any, test: Any) -> int:
        statement = select(func.count()).select_from(table).where(table.c.run_id == self._run, test)
        return int(self._connection.execute(statement).scalar_one())

    def names(self, test: Any) -> dict[str, str]:
        statement = select(RUN.c.id, RUN.c.name).where(test).order_by(RUN.c.started, RUN.c.id)
        return {run.id: run.name for run in self._connection.execute(statement)}


def _metrics(
    reader: Reader, rows: _Rows, run: str, restored_epoch: int | None
) -> dict[str, dict[str, Any]]:
    of_run = metrics_of(reader, [run], {run: restored_epoch})
    found = {}
    for summary in rows.of(SUMMARY):
        (metric,) = of_run[summary.name]
        assert metric is not None
        found[summary.name] = {
            "last": metric.last,
            "last_epoch": metric.last_epoch,
            "last_step": metric.last_step,
            "min": summary.min,
            "min_epoch": summary.min_epoch,
            "min_step": summary.min_step,
            "max": summary.max,
            "max_epoch": summary.max_epoch,
            "max_step": summary.max_step,
            "best": metric.best,
            "best_epoch": metric.best_epoch,
            "best_step": metric.best_step,
            "restored": metric.restored,
        }
    return found


def _attempts(reader: Reader, rows: _Rows, run: str) -> list[dict[str, Any]]:
    dead = dead_runs(reader.connection).get(run)
    epoch_ends = _epoch_ends(reader, run)
    found = []
    for attempt in rows.of(ATTEMPT, ATTEMPT.c.number):
        lost = dead is not None and dead.id == attempt.id
        status = RunStatus.LOST.value if lost else attempt.status
        end = attempt.ended or attempt.heartbeat
        if status in (RunStatus.RUNNING, RunStatus.LOST):
            # Nobody noted its end: the last epoch may be newer than the last heartbeat.
            end = max(end, epoch_ends.get(attempt.number, end))
        found.append(
            {
                **attempt._mapping,
                "status": status,
                "captured": from_json(attempt.captured) or {},
                "seconds": max(0.0, (end - attempt.started) / 1e6),
            }
        )
    return found


def _epoch_ends(reader: Reader, run: str) -> dict[int, float]:
    """Return when the last epoch of each attempt ended, in µs since 1970."""
    ended = func.max(EPOCH.c.started + EPOCH.c.seconds * 1e6).label("ended")
    statement = select(EPOCH.c.attempt, ended).where(EPOCH.c.run_id == run)
    rows = reader.connection.execute(statement.group_by(EPOCH.c.attempt))
    return {row.attempt: row.ended for row in rows}


def _policies(rows: _Rows) -> list[dict[str, Any]]:
    found = []
    for *earlier, policy in newest(rows.of(POLICY, POLICY.c.number)):
        config = from_json(policy.config) or {}
        before = from_json(earlier[-1].config) if earlier else None
        found.append(
            {
                "policy": policy.kind,
                "monitor": policy.monitor,
                "rules": policy.rules,
                "config": config,
                "was": {name: then for name, (then, _) in changed(before or {}, config).items()},
            }
        )
    return found
