"""Each run's monitored metric: its best epoch, the epoch whose weights were restored, and the last one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, literal, select

from tracker.models import DECISION, POLICY, SUMMARY
from tracker.policies.modes import direction, mode_in
from tracker.queries.callbacks import actors
from tracker.storage.chunks import in_chunks
from tracker.values import join

USUAL = ("val_loss", "loss")
"""The metrics of a run that monitored nothing."""

_JUDGE = "EarlyStopping"
_FEW_NAMES = 100


class BestAndLast(NamedTuple):
    """The monitored metric of a run; ``restored_epoch`` is None when it holds the last epoch's weights."""

    monitor: str | None = None
    best: float | None = None
    best_epoch: int | None = None
    last: float | None = None
    last_epoch: int | None = None
    restored_epoch: int | None = None


NOTHING_RECORDED = BestAndLast()


class _Monitor(NamedTuple):
    """A metric and its mode: "min", "max", "auto", or None where a callback did not say."""

    name: str
    mode: str | None


def monitored(
    connection: Connection, ids: Sequence[str], keys: Sequence[str] | None
) -> dict[str, BestAndLast]:
    """Return the monitored metric by run, of runs that have one.

    Args:
        connection: a read transaction.
        ids: the runs.
        keys: their ids again, or None when they are all there are.
    """
    monitors = _monitors(connection, keys)
    names = sorted({*USUAL, *(monitor.name for monitor in monitors.values())})
    found: dict[str, BestAndLast] = {}
    for run, summaries in _summaries(connection, keys, names).items():
        monitor = monitors.get(run)
        if monitor is None or monitor.name not in summaries:
            found[run] = best_and_last(summaries[wanted_first(summaries)[0]])
        else:
            found[run] = best_and_last(summaries[monitor.name], monitor.mode)
    others = [run for run in ids if run not in found]
    for run, summaries in _summaries(connection, others, None).items():
        found[run] = best_and_last(summaries[wanted_first(summaries)[0]])
    return _with_restored(connection, keys, found)


def wanted_first(names: Iterable[str]) -> list[str]:
    """Sort metric names: val_loss, others of validation, loss, the rest."""
    return sorted(
        names, key=lambda name: (name != "val_loss", name[:4] != "val_", name != "loss", name)
    )


def best_and_last(summary: Any, mode: str | None = None) -> BestAndLast:
    """Return a row of `SUMMARY` as best and last; ``mode`` "min" or "max" says which is best, else the name."""
    kind, last = summary.last_kind, summary.last
    if kind != "finite":
        last = join(last, kind)
    if direction(summary.name, mode) == "min":
        best, best_epoch = summary.min, summary.min_epoch
    else:
        best, best_epoch = summary.max, summary.max_epoch
    return BestAndLast(summary.name, best, best_epoch, last, summary.last_epoch)


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
    connection: Connection, keys: Sequence[str] | None, names: Sequence[str] | None
) -> dict[str, dict[str, Any]]:
    """Return the rows of `SUMMARY` by run and metric; of these metrics, or of all."""
    statement = select(SUMMARY)
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
