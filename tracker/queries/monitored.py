"""Each run's monitored metric: its best epoch, the epoch whose weights were restored, and the last one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, exists, func, literal, or_, select

from tracker.filters.fields import values_by_index
from tracker.models import DECISION, METRIC_DEFINITION, OF_STEPS, POLICY, RUN, SUMMARY
from tracker.policies.modes import mode_in
from tracker.queries.callbacks import actors
from tracker.states import DirectionSource
from tracker.storage.chunks import in_chunks, plain_rows
from tracker.storage.directions import Directions
from tracker.values import join

_USUAL = "val_loss"
"""The metric of a run that monitored nothing, where it has that."""

_JUDGE = "EarlyStopping"
_FEW_NAMES = 100


class BestAndLast(NamedTuple):
    """The monitored metric of a run; ``restored_epoch`` is None when it holds the last epoch's weights.

    The epochs are None for a metric that no epoch has, the steps for every other.
    """

    monitor: str | None = None
    best: float | None = None
    best_epoch: int | None = None
    best_step: int | None = None
    restored_epoch: int | None = None
    last: float | None = None
    last_epoch: int | None = None
    last_step: int | None = None


NOTHING_RECORDED = BestAndLast()


class _Monitor(NamedTuple):
    """A metric, and its mode where the callback that monitors it has one."""

    name: str
    mode: str | None


def monitored(
    connection: Connection,
    ids: Sequence[str],
    keys: Sequence[str] | None,
    directions: Directions,
) -> dict[str, BestAndLast]:
    """Return the monitored metric by run, of runs that have one: one of epochs, where there are any.

    Args:
        connection: a read transaction.
        ids: the runs.
        keys: their ids again, or None when they are all there are.
        directions: made for ``keys``.
    """
    shared = shared_monitor(connection) if keys is None else None
    if shared is not None:
        found = _by_shared(connection, *shared)
        others = [run for run in ids if run not in found]
        monitors = _all_monitors(connection, others, directions)
    else:
        monitors = _all_monitors(connection, keys, directions)
        found = _by_epochs(connection, keys, directions, monitors)
        others = [run for run in ids if run not in found]
    for run, summaries in _summaries(connection, others, None).items():
        found[run] = _headline(summaries, monitors.get(run), directions)
    return _with_restored(connection, keys, found)


def _all_monitors(
    connection: Connection, keys: Sequence[str] | None, directions: Directions
) -> dict[str, _Monitor]:
    declared = {run: _Monitor(*monitor) for run, monitor in directions.monitors.items()}
    return _monitors(connection, keys) | declared


def _by_shared(connection: Connection, name: str, mode: str) -> dict[str, BestAndLast]:
    """Return what all runs are judged by that have this metric in their epochs."""
    columns = SUMMARY.c
    best = (
        (columns.min, columns.min_epoch, columns.min_step)
        if mode == "min"
        else (columns.max, columns.max_epoch, columns.max_step)
    )
    statement = select(
        columns.run_id,
        *best,
        columns.last,
        columns.last_kind,
        columns.last_epoch,
        columns.last_step,
    ).where(columns.name == name, ~OF_STEPS)
    return {
        run: BestAndLast(
            name, low, epoch, step, None,
            last if kind == "finite" else join(last, kind), last_epoch, last_step,
        )
        for rows in plain_rows(connection, statement, columns.run_id, None)
        for run, low, epoch, step, last, kind, last_epoch, last_step in rows
    }  # fmt: skip


def _by_epochs(
    connection: Connection,
    keys: Sequence[str] | None,
    directions: Directions,
    monitors: Mapping[str, _Monitor],
) -> dict[str, BestAndLast]:
    """Return the monitored metric of the runs that have it, or the usual one, in their epochs."""
    names = sorted({_USUAL, *(monitor.name for monitor in monitors.values())})
    found: dict[str, BestAndLast] = {}
    for run, summaries in _summaries(connection, keys, names, ~OF_STEPS).items():
        monitor = monitors.get(run)
        if monitor is not None and monitor.name in summaries:
            found[run] = best_and_last(summaries[monitor.name], directions, monitor.mode)
        elif _USUAL in summaries:
            found[run] = best_and_last(summaries[_USUAL], directions)
    return found


def shared_monitor(connection: Connection) -> tuple[str, str] | None:
    """Return the metric that each run which has it in its epochs is judged by, and its mode; None where runs differ.

    One sweep, and most databases, have one: its best values need not be looked for run by run.
    """
    names = {
        *connection.scalars(values_by_index(POLICY.c.monitor).limit(2)),
        *connection.scalars(values_by_index(METRIC_DEFINITION.c.name, _IS_MONITOR).limit(2)),
    }
    name = str(next(iter(names), _USUAL))
    if len(names) > 1 or (name != _USUAL and _some_monitor_nothing(connection, name)):
        return None
    modes = _modes_said(connection, name) | {Directions(connection).of(name).mode}
    mode = modes.pop()
    return None if modes or mode is None else (name, mode)


_IS_MONITOR = METRIC_DEFINITION.c.monitor.is_(True)


def _modes_said(connection: Connection, name: str) -> set[str | None]:
    """Return the modes that callbacks and declarations give a metric; for each of them, an index is asked."""
    columns = METRIC_DEFINITION.c
    said = {
        mode: [
            exists().where(columns.name == name, columns.mode == mode, test)
            for test in (_IS_MONITOR, *(columns.source == word for word in _SAID_BY))
        ]
        for mode in (None, "min", "max")
    }
    for mode in ("min", "max"):
        said[mode].append(exists().where(POLICY.c.monitor == name, POLICY.c.mode == mode))
    found = connection.execute(select(*(or_(*tests) for tests in said.values()))).one()
    return {mode for mode, is_said in zip(said, found, strict=True) if is_said}


_SAID_BY = [source for source in DirectionSource if source != DirectionSource.NAME]


def _some_monitor_nothing(connection: Connection, name: str) -> bool:
    """Say whether some run has no monitor, in a database whose only monitor is this metric."""
    of_callback = exists().where(POLICY.c.run_id == RUN.c.id, POLICY.c.monitor.is_not(None))
    declared = exists().where(METRIC_DEFINITION.c.run_id == RUN.c.id, _IS_MONITOR)
    # Who monitors it is judged by it: of the others each one is looked at.
    without = select(RUN.c.id).where(RUN.c.judged_by != name, ~of_callback, ~declared).limit(1)
    return connection.execute(without).first() is not None


_VALIDATION = re.compile(
    r"^(val|valid|validation|eval|evaluation|test|dev)(?=[_/.\- ])|[_/.\- ](val|valid|eval|test)$"
)


def most_judged(monitors: Iterable[str | None]) -> str | None:
    """Return the metric that most runs are judged by, by the monitor of each; of several the first. None for none."""
    counts = Counter(name for name in monitors if name is not None)
    return max(counts, key=counts.__getitem__, default=None)


def wanted_first(names: Iterable[str], directions: Directions) -> list[str]:
    """Sort metric names: a validation loss, others of validation, loss, the rest; those without a best last."""

    def rank(name: str) -> tuple[bool, bool, bool, str]:
        validation = bool(_VALIDATION.search(name.lower()))
        loss = "loss" in name.lower()
        has_best = directions.of(name).mode is not None
        return not has_best, not validation, not loss, name

    return sorted(names, key=rank)


def _headline(
    summaries: Mapping[str, Any], monitor: _Monitor | None, directions: Directions
) -> BestAndLast:
    """Return the metric that stands for a run: the monitored one, else the one that is wanted first.

    It is one of epochs, where the run has any.
    """
    of_epochs = {name: row for name, row in summaries.items() if row.last_epoch is not None}
    candidates = of_epochs or summaries
    if monitor is not None and monitor.name in candidates:
        return best_and_last(candidates[monitor.name], directions, monitor.mode)
    return best_and_last(candidates[wanted_first(candidates, directions)[0]], directions)


def best_and_last(summary: Any, directions: Directions, mode: str | None = None) -> BestAndLast:
    """Return a row of `SUMMARY` as best and last.

    Args:
        summary: the row.
        directions: say which way is better.
        mode: "min" or "max" of the callback that decided by this metric, which comes first.
    """
    kind, last = summary.last_kind, summary.last
    if kind != "finite":
        last = join(last, kind)
    if mode not in ("min", "max"):
        mode = directions.of(summary.name, summary.run_id).mode
    best, best_epoch, best_step = None, None, None
    if mode == "min":
        best, best_epoch, best_step = summary.min, summary.min_epoch, summary.min_step
    elif mode == "max":
        best, best_epoch, best_step = summary.max, summary.max_epoch, summary.max_step
    return BestAndLast(
        summary.name, best, best_epoch, best_step, None, last, summary.last_epoch, summary.last_step
    )


def _monitors(connection: Connection, keys: Sequence[str] | None) -> dict[str, _Monitor]:
    """Return what the runs' callbacks monitor.

    Of several EarlyStoppings it is the one that stopped the run, else that restored weights, else the
    first of the newest attempt; without any, the first callback that monitors something.
    """
    statement = select(POLICY).where(POLICY.c.monitor.is_not(None))
    first: dict[str, Any] = {}
    judges: dict[str, list[Any]] = {}
    for policy in in_chunks(connection, statement, POLICY.c.run_id, keys):
        run = policy.run_id
        if policy.kind == _JUDGE:
            judges.setdefault(run, []).append(policy)
        if run not in first or _rank(policy) > _rank(first[run]):
            first[run] = policy
    policies = first | _acted(connection, judges)
    return {
        run: _Monitor(policy.monitor, mode_in(policy.config)) for run, policy in policies.items()
    }


def _rank(policy: Any) -> tuple[bool, int, int]:
    return policy.kind == _JUDGE, policy.attempt, -policy.number


def _acted(connection: Connection, judges: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return, of runs whose EarlyStoppings differ in their metric, the one which acted."""
    rivals = {
        policy.id: policy
        for policies in judges.values()
        if len({policy.monitor for policy in policies}) > 1
        for policy in policies
    }
    acted = actors(connection, rivals) if rivals else {}
    return {run: rivals[policy] for run, policy in acted.items()}


def _summaries(
    connection: Connection,
    keys: Sequence[str] | None,
    names: Sequence[str] | None,
    *tests: ColumnElement[bool],
) -> dict[str, dict[str, Any]]:
    """Return the rows of `SUMMARY` by run and metric; of these metrics, or of all."""
    statement = select(SUMMARY).where(*tests)
    if names is not None and len(names) < _FEW_NAMES:
        # Of the two indices the runs' is the one to use: an expression keeps SQLite off the names'.
        name = SUMMARY.c.name if keys is None else func.coalesce(SUMMARY.c.name, "")
        statement = statement.where(name.in_(names))
    found: dict[str, dict[str, Any]] = {}
    for summary in in_chunks(connection, statement, SUMMARY.c.run_id, keys):
        found.setdefault(summary.run_id, {})[summary.name] = summary
    return found


def _with_restored(
    connection: Connection, keys: Sequence[str] | None, found: dict[str, BestAndLast]
) -> dict[str, BestAndLast]:
    """Add the restored epoch, unless epochs came after it. The literal lets SQLite use its partial index."""
    verdict = literal("restored", literal_execute=True)
    columns = DECISION.c
    statement = (
        select(
            columns.run_id, columns.attempt, columns.number, columns.epoch, columns.best_epoch
        )
        .where(columns.verdict == verdict, columns.superseded.is_(False))
    )  # fmt: skip
    newest: dict[str, Any] = {}
    for decision in in_chunks(connection, statement, columns.run_id, keys):
        other = newest.get(decision.run_id)
        if other is None or _when(decision) >= _when(other):
            newest[decision.run_id] = decision
    for run, decision in newest.items():
        monitor = found.get(run, NOTHING_RECORDED)
        if monitor.last_epoch is None or decision.epoch >= monitor.last_epoch:
            best = decision.best_epoch
            found[run] = monitor._replace(restored_epoch=decision.epoch if best is None else best)
    return found


def _when(decision: Any) -> tuple[int, int]:
    return decision.attempt, decision.number
