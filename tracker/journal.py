"""What is written, as entries: plain dicts that are applied to the database, or kept in the spool until they can be.

Each entry can be applied twice with the same effect as once, so that a spool is imported without
doubles whatever was committed before. `apply` runs inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import (
    Connection,
    Table,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from tracker import models
from tracker.upsert import upsert

Entry = dict[str, Any]


def table(model: type[models.Table]) -> Table:
    """Return the SQLAlchemy table of a model."""
    return model.__table__  # type: ignore[attr-defined, no-any-return]


RUN = table(models.Run)
ATTEMPT = table(models.Attempt)
PARAM = table(models.Param)
TAG = table(models.Tag)
EPOCH = table(models.Epoch)
METRIC = table(models.Metric)
SUMMARY = table(models.Summary)
POLICY = table(models.Policy)
DECISION = table(models.Decision)
CHECKPOINT = table(models.Checkpoint)
SERIES = table(models.Series)
CLOCK = table(models.Clock)
BLOCK = table(models.Block)


def apply(connection: Connection, entries: Iterable[Entry]) -> None:
    """Write the entries, in order."""
    for entry in entries:
        _WRITERS[entry["kind"]](connection, entry)


# Built once: making a statement costs more than running it.
_KNOWN_EPOCH = select(EPOCH.c.id, EPOCH.c.seconds).where(
    EPOCH.c.run_id == bindparam("run"),
    EPOCH.c.attempt == bindparam("attempt"),
    EPOCH.c.epoch == bindparam("epoch"),
)
_ADD_EPOCH = insert(EPOCH)
_CHANGE_EPOCH = update(EPOCH).where(EPOCH.c.id == bindparam("known"))
_GROW_RUN = (
    update(RUN)
    .where(RUN.c.id == bindparam("run"))
    .values(
        epochs=RUN.c.epochs + bindparam("more_epochs"),
        seconds=RUN.c.seconds + bindparam("more_seconds"),
    )
)


def _epoch(connection: Connection, entry: Entry) -> None:
    run, attempt, number = entry["run"], entry["attempt"], entry["epoch"]
    claimed = claim(connection, run, attempt, number)
    key = {"run": run, "attempt": attempt, "epoch": number}
    known = connection.execute(_KNOWN_EPOCH, key).first()
    values = {name: entry[name] for name in ("started", "seconds", "learning_rate")}
    if known is None:
        row = {"run_id": run, "attempt": attempt, "epoch": number, "superseded": False, **values}
        epoch_id = connection.execute(_ADD_EPOCH, row).inserted_primary_key[0]  # type: ignore[index]
    else:
        epoch_id = known.id
        connection.execute(_CHANGE_EPOCH, {"known": epoch_id, **values})
    more = entry["seconds"] - (0.0 if known is None else known.seconds)
    grown = {"run": run, "more_epochs": int(known is None), "more_seconds": more}
    connection.execute(_GROW_RUN, grown)
    rows = [
        {"epoch_id": epoch_id, "name": name, "position": place, "value": value, "value_kind": kind}
        for place, (name, value, kind) in enumerate(entry["metrics"])
    ]
    upsert(connection, METRIC, rows, ("epoch_id", "name"), ("value", "value_kind"))
    if claimed or known is not None:
        summarize(connection, run)
    else:
        _extend_summaries(connection, run, number, rows)


def claim(connection: Connection, run: str, attempt: int, epoch: int) -> bool:
    """Note the first epoch of an attempt; what earlier attempts recorded from there on is superseded."""
    if attempt == 1:
        return False
    first = update(ATTEMPT).where(
        ATTEMPT.c.run_id == run, ATTEMPT.c.number == attempt, ATTEMPT.c.first_epoch.is_(None)
    )
    if connection.execute(first.values(first_epoch=epoch)).rowcount == 0:
        return False
    for old in (EPOCH, DECISION):
        connection.execute(
            update(old)
            .where(old.c.run_id == run, old.c.attempt < attempt, old.c.epoch >= epoch)
            .values(superseded=True)
        )
    effective = select(func.count()).where(EPOCH.c.run_id == run, EPOCH.c.superseded.is_(False))
    connection.execute(
        update(RUN).where(RUN.c.id == run).values(epochs=effective.scalar_subquery())
    )
    return True


def _extend_summaries(
    connection: Connection, run: str, epoch: int, rows: list[dict[str, Any]]
) -> None:
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
    upsert(connection, SUMMARY, summaries, ("run_id", "name"), _summary_update)


def _summary_update(new: Mapping[str, Any]) -> dict[str, Any]:
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
    """Make a run's summaries anew from its effective epochs."""
    connection.execute(delete(SUMMARY).where(SUMMARY.c.run_id == run))
    rows = connection.execute(
        select(EPOCH.c.epoch, METRIC.c.name, METRIC.c.value, METRIC.c.value_kind)
        .join_from(METRIC, EPOCH, METRIC.c.epoch_id == EPOCH.c.id)
        .where(EPOCH.c.run_id == run, EPOCH.c.superseded.is_(False))
        .order_by(EPOCH.c.epoch)
    )
    found: dict[str, dict[str, Any]] = {}
    for epoch, name, value, kind in rows:
        one = found.setdefault(
            name,
            {
                "run_id": run,
                "name": name,
                "min": None,
                "min_epoch": None,
                "max": None,
                "max_epoch": None,
            },
        )
        one.update(last=value, last_kind=kind, last_epoch=epoch)
        if value is not None and (one["min"] is None or value < one["min"]):
            one.update(min=value, min_epoch=epoch)
        if value is not None and (one["max"] is None or value > one["max"]):
            one.update(max=value, max_epoch=epoch)
    if found:
        connection.execute(insert(SUMMARY), list(found.values()))


def _decision(connection: Connection, entry: Entry) -> None:
    row = entry["row"]
    claim(connection, row["run_id"], row["attempt"], row["epoch"])
    upsert(connection, DECISION, [row], ("run_id", "attempt", "number"), ())


def _checkpoint(connection: Connection, entry: Entry) -> None:
    """Register a complete file; with ``pending`` set, one that is about to take its name."""
    row = entry["row"]
    upsert(connection, CHECKPOINT, [row], ("id",), ("state", "pending"))
    others = and_(CHECKPOINT.c.path == row["path"], CHECKPOINT.c.id != row["id"])
    replaced = update(CHECKPOINT).where(others, CHECKPOINT.c.state == "available")
    connection.execute(replaced.values(state="pruned", pending=row["pending"]))
    if not row["pending"]:
        connection.execute(update(CHECKPOINT).where(others).values(pending=False))


def _checkpoint_state(connection: Connection, entry: Entry) -> None:
    connection.execute(
        update(CHECKPOINT)
        .where(CHECKPOINT.c.id.in_(entry["ids"]))
        .values(state=entry["state"], pending=entry["pending"])
    )


def _params(connection: Connection, entry: Entry) -> None:
    upsert(connection, PARAM, entry["rows"], ("run_id", "name"), ("kind", "text", "number"))


def _tags(connection: Connection, entry: Entry) -> None:
    upsert(connection, TAG, entry["rows"], ("run_id", "name"), ("value",))


def _policy(connection: Connection, entry: Entry) -> None:
    upsert(connection, POLICY, [entry["row"]], ("id",), ("config",))


def _attempt(connection: Connection, entry: Entry) -> None:
    """Change columns of an attempt: what was captured, heartbeat, counts."""
    connection.execute(update(ATTEMPT).where(ATTEMPT.c.id == entry["id"]).values(**entry["values"]))


def _end(connection: Connection, entry: Entry) -> None:
    values = {key: entry[key] for key in ("status", "reason", "error", "ended")}
    connection.execute(
        update(ATTEMPT)
        .where(ATTEMPT.c.id == entry["id"])
        .values(**values, heartbeat=entry["ended"])
    )
    newest = select(func.max(ATTEMPT.c.number)).where(ATTEMPT.c.run_id == entry["run"])
    connection.execute(
        update(RUN)
        .where(RUN.c.id == entry["run"], newest.scalar_subquery() == entry["attempt"])
        .values(**values)
    )


def _series(connection: Connection, entry: Entry) -> None:
    """Upsert one block of calls: its clock and the values of each series."""
    run, attempt = entry["run"], entry["attempt"]
    upsert(connection, CLOCK, [entry["clock"]], ("run_id", "attempt", "number"), _CLOCK_CHANGES)
    names = [block["name"] for block in entry["blocks"]]
    ids = _series_ids(connection, run, names)
    rows = [
        {
            **block,
            "series_id": ids[block["name"]],
            "attempt": attempt,
            "number": entry["clock"]["number"],
        }
        for block in entry["blocks"]
    ]
    for row in rows:
        del row["name"]
    upsert(connection, BLOCK, rows, ("series_id", "attempt", "number"), _BLOCK_CHANGES)


_BLOCK_CHANGES = ("points", "first_step", "last_step", "payload")
_CLOCK_CHANGES = ("calls", "first_step", "last_step", "started", "final", "payload")


def _series_ids(connection: Connection, run: str, names: list[str]) -> dict[str, int]:
    known = select(SERIES.c.name, SERIES.c.id).where(SERIES.c.run_id == run)
    ids = dict(connection.execute(known).tuples().all())
    missing = [{"run_id": run, "name": name} for name in names if name not in ids]
    if not missing:
        return ids
    upsert(connection, SERIES, missing, ("run_id", "name"), ())
    return dict(connection.execute(known).tuples().all())


_WRITERS: dict[str, Callable[[Connection, Entry], None]] = {
    "epoch": _epoch,
    "decision": _decision,
    "checkpoint": _checkpoint,
    "checkpoint_state": _checkpoint_state,
    "params": _params,
    "tags": _tags,
    "policy": _policy,
    "attempt": _attempt,
    "end": _end,
    "series": _series,
}
