"""Each run's monitored metric: its best epoch, the epoch whose weights were restored, and the last one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, literal, select

from tracker.direction import direction
from tracker.queries.listing import in_chunks
from tracker.tables import DECISION, POLICY, SUMMARY
from tracker.values import from_json, join

USUAL = ("val_loss", "loss")
"""What is looked at in a run that monitored nothing."""


@dataclass(frozen=True)
class Best:
    """The monitored metric of a run; ``restored_epoch`` is None when it holds the last epoch's weights."""

    monitor: str | None = None
    best: float | None = None
    best_epoch: int | None = None
    last: float | None = None
    last_epoch: int | None = None
    restored_epoch: int | None = None


class Bests:
    """`Best` by run id."""

    def __init__(self, found: Mapping[str, Best]) -> None:
        self._found = found

    def of(self, run: str) -> Best:
        """Return that of a run; an empty one where nothing was recorded."""
        return self._found.get(run) or Best()


def bests(connection: Connection, ids: Sequence[str], keys: Sequence[str] | None) -> Bests:
    """Return the monitored metric of runs; ``keys`` are their ids again, or None when they are all there are."""
    monitors = monitored(connection, keys)
    wanted = sorted({*USUAL, *(name for name, _ in monitors.values())})
    found: dict[str, Best] = {}
    rows = _summaries(connection, keys, wanted)
    for run, summaries in rows.items():
        name, mode = monitors.get(run, ("", None))
        if name not in summaries:
            name, mode = wanted_first(summaries)[0], None
        found[run] = has_value(summaries[name], mode)
    for run, summaries in _summaries(connection, [i for i in ids if i not in found], None).items():
        found[run] = has_value(summaries[wanted_first(summaries)[0]])
    return Bests(_with_restored(connection, keys, found))


def wanted_first(names: Iterable[str]) -> list[str]:
    """Sort metric names: val_loss, others of validation, loss, the rest."""
    return sorted(names, key=lambda name: (name != "val_loss", name[:4] != "val_", name != "loss"))


def has_value(summary: Any, mode: str | None = None) -> Best:
    """Read a summary row; ``mode`` "min" or "max" says which is best, else the name does."""
    way = mode if mode in {"min", "max"} else direction(summary.name)
    low = way == "min"
    return Best(
        monitor=summary.name,
        best=summary.min if low else summary.max,
        best_epoch=summary.min_epoch if low else summary.max_epoch,
        last=join(summary.last, summary.last_kind),
        last_epoch=summary.last_epoch,
    )


def monitored(
    connection: Connection, keys: Sequence[str] | None
) -> dict[str, tuple[str, str | None]]:
    """Return what the runs' callbacks monitor: id → (metric, mode); EarlyStopping's first, of the newest attempt."""
    statement = (
        select(POLICY.c.run_id, POLICY.c.kind, POLICY.c.monitor, POLICY.c.config)
        .where(POLICY.c.monitor.is_not(None))
        .order_by(POLICY.c.attempt.desc(), POLICY.c.number)
    )
    found: dict[str, tuple[str, str | None]] = {}
    stopping: set[str] = set()
    for run, kind, monitor, config in in_chunks(connection, statement, POLICY.c.run_id, keys):
        first_stopping = kind == "EarlyStopping" and run not in stopping
        if first_stopping:
            stopping.add(run)
        if first_stopping or run not in found:
            found[run] = monitor, _mode(config)
    return found


@lru_cache(maxsize=256)
def _mode(config: str) -> str | None:
    mode = (from_json(config) or {}).get("mode")
    return mode if isinstance(mode, str) else None


def _summaries(
    connection: Connection, keys: Sequence[str] | None, names: Sequence[str] | None
) -> dict[str, dict[str, Any]]:
    statement = select(SUMMARY).order_by(SUMMARY.c.name)
    if names is not None and len(names) < 100:
        statement = statement.where(SUMMARY.c.name.in_(names))
    found: dict[str, dict[str, Any]] = {}
    for summary in in_chunks(connection, statement, SUMMARY.c.run_id, keys):
        found.setdefault(summary.run_id, {})[summary.name] = summary
    return found


def _with_restored(
    connection: Connection, keys: Sequence[str] | None, found: dict[str, Best]
) -> dict[str, Best]:
    """Add the restored epoch, unless epochs came after it. The literal lets SQLite use its partial index."""
    verdict = literal("restored", literal_execute=True)
    statement = (
        select(DECISION.c.run_id, DECISION.c.epoch, DECISION.c.best_epoch)
        .where(DECISION.c.verdict == verdict, DECISION.c.superseded.is_(False))
        .order_by(DECISION.c.run_id, DECISION.c.attempt, DECISION.c.number)
    )
    for run, epoch, best_epoch in in_chunks(connection, statement, DECISION.c.run_id, keys):
        mark = found.get(run) or Best()
        held = epoch if best_epoch is None else best_epoch
        stale = mark.last_epoch is not None and epoch < mark.last_epoch
        found[run] = replace(mark, restored_epoch=None if stale else held)
    return found
