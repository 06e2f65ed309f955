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
"""What is looked at in a run that monitored nothing."""


class Best(NamedTuple):
    """The monitored metric of a run; ``restored_epoch`` is None when it holds the last epoch's weights."""

    monitor: str | None = None
    best: float | None = None
    best_epoch: int | None = None
    last: float | None = None
    last_epoch: int | None = None
    restored_epoch: int | None = None


_NONE = Best()


class Bests:
    """`Best` by run id."""

    def __init__(self, found: Mapping[str, Best]) -> None:
        self._found = found

    def of(self, run: str) -> Best:
        """Return that of a run; an empty one where nothing was recorded."""
        return self._found.get(run, _NONE)


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
    return sorted(
        names, key=lambda name: (name != "val_loss", name[:4] != "val_", name != "loss", name)
    )


def has_value(summary: Sequence[Any], mode: str | None = None) -> Best:
    """Read a row of `SUMMARY`; ``mode`` "min" or "max" says which is best, else the name does."""
    _, name, last, kind, last_epoch, low, low_epoch, high, high_epoch = summary
    last = last if kind == "finite" else join(last, kind)
    if direction(name, mode) == "min":
        return Best(name, low, low_epoch, last, last_epoch)
    return Best(name, high, high_epoch, last, last_epoch)


def monitored(
    connection: Connection, keys: Sequence[str] | None
) -> dict[str, tuple[str, str | None]]:
    """Return what the runs' callbacks monitor: id → (metric, mode).

    Of several EarlyStoppings it is the one that stopped the run, else that restored weights, else the
    first of the newest attempt; without any, the first callback that monitors something.
    """
    columns = POLICY.c
    statement = select(
        columns.id,
        columns.run_id,
        columns.kind,
        columns.attempt,
        columns.number,
        columns.monitor,
        columns.config,
    ).where(columns.monitor.is_not(None))
    chosen: dict[str, tuple[tuple[bool, int, int], str, str]] = {}
    judges: dict[str, dict[str, tuple[str, str]]] = {}
    for one, run, kind, attempt, number, monitor, config in in_chunks(
        connection, statement, columns.run_id, keys
    ):
        rank = (kind == "EarlyStopping", attempt, -number)
        if rank[0]:
            judges.setdefault(run, {})[one] = monitor, config
        if run not in chosen or rank > chosen[run][0]:
            chosen[run] = rank, monitor, config
    found = {run: (monitor, config) for run, (_, monitor, config) in chosen.items()}
    found |= _acted(connection, judges)
    return {run: (monitor, mode_in(config)) for run, (monitor, config) in found.items()}


def _acted(
    connection: Connection, judges: Mapping[str, Mapping[str, tuple[str, str]]]
) -> dict[str, tuple[str, str]]:
    """Return, of runs whose EarlyStoppings differ in their metric, that of the one which acted."""
    differ = {
        run: group
        for run, group in judges.items()
        if len({monitor for monitor, _ in group.values()}) > 1
    }
    ids = [one for group in differ.values() for one in group]
    acted = actors(connection, ids) if ids else {}
    return {run: differ[run][one] for run, one in acted.items()}


def _summaries(
    connection: Connection, keys: Sequence[str] | None, names: Sequence[str] | None
) -> dict[str, dict[str, Any]]:
    statement = select(SUMMARY)
    if names is not None and len(names) < 100:
        # Of the two indices the runs' is the one to use: an expression keeps SQLite off the names'.
        name = SUMMARY.c.name if keys is None else func.coalesce(SUMMARY.c.name, "")
        statement = statement.where(name.in_(names))
    found: dict[str, dict[str, Any]] = {}
    for summary in in_chunks(connection, statement, SUMMARY.c.run_id, keys):
        run, name, *_ = summary
        if run in found:
            found[run][name] = summary
        else:
            found[run] = {name: summary}
    return found


def _with_restored(
    connection: Connection, keys: Sequence[str] | None, found: dict[str, Best]
) -> dict[str, Best]:
    """Add the restored epoch, unless epochs came after it. The literal lets SQLite use its partial index."""
    verdict = literal("restored", literal_execute=True)
    columns = DECISION.c
    statement = select(
        columns.run_id, columns.attempt, columns.number, columns.epoch, columns.best_epoch
    ).where(columns.verdict == verdict, columns.superseded.is_(False))
    newest: dict[str, tuple[int, int]] = {}
    for run, attempt, number, epoch, best_epoch in in_chunks(
        connection, statement, columns.run_id, keys
    ):
        if newest.get(run, (0, 0)) > (attempt, number):
            continue
        newest[run] = attempt, number
        mark = found.get(run, _NONE)
        held = epoch if best_epoch is None else best_epoch
        stale = mark.last_epoch is not None and epoch < mark.last_epoch
        found[run] = mark._replace(restored_epoch=None if stale else held)
    return found
