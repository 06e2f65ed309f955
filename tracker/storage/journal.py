"""Write entries (`tracker.storage.entries`) into the database, inside the caller's transaction.

Each entry can be applied twice with the same effect as once, so that a spool is imported without
doubles whatever was committed before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    Connection,
    Update,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError

from tracker import values
from tracker.models import (
    ATTEMPT,
    CHECKPOINT,
    DECISION,
    EPOCH,
    FORMER_PARAM,
    METRIC,
    METRIC_DEFINITION,
    PARAM,
    POLICY,
    RUN,
    TAG,
)
from tracker.policies.modes import mode_in
from tracker.states import CheckpointState, DirectionSource, RunStatus
from tracker.storage import entries as kinds
from tracker.storage import facts, step_metrics, summaries
from tracker.storage.checksums import epoch_checksum, is_intact
from tracker.storage.chunks import in_parts
from tracker.storage.driver_errors import is_entrys_fault
from tracker.storage.entries import Entry
from tracker.storage.liveness import heard_now
from tracker.storage.statements import (
    Prepared,
    update_row,
    upsert,
    upserting,
)
from tracker.storage.superseding import LATER_ATTEMPTS, is_overtaken, supersede
from tracker.values import MetricValue


def apply(connection: Connection, entries: Iterable[Entry]) -> None:
    """Write the entries, in order; step metrics that follow each other together."""
    for kind, group in groupby(entries, key=itemgetter("kind")):
        some: Iterator[Any] = group
        if kind == "series":
            step_metrics.store(connection, some)
            continue
        for entry in some:
            _WRITERS[kind](connection, entry)


def apply_each(connection: Connection, entries: Iterable[Entry]) -> list[tuple[Entry, Exception]]:
    """Write what can be written, in order; returns the entries that the database refuses, and why.

    What belongs to an attempt whose beginning is refused is refused as well: another one has its number. Errors that
    concern the database and not an entry (a full disk, a lock) are raised.
    """
    refused: list[tuple[Entry, Exception]] = []
    displaced: set[tuple[str, Any]] = set()
    for entry in entries:
        if displaced and not displaced.isdisjoint(_owners(entry)):
            displaced.update(_begun(entry))
            refused.append(
                (entry, ValueError("another process has recorded an attempt of its number"))
            )
            continue
        try:
            with connection.begin_nested():
                _WRITERS[entry["kind"]](connection, entry)
        except Exception as error:
            if not is_refusal(error):
                raise
            refused.append((entry, error))
            displaced.update(_begun(entry))
    return refused


def _begun(entry: Entry) -> list[tuple[str, Any]]:
    """Return the attempt that an entry begins, as `_owners` names it."""
    if entry["kind"] != "follow":
        return []
    return [(entry["run"], entry["number"]), (entry["run"], entry["id"])]


def _owners(entry: Any) -> list[tuple[str, Any]]:
    """Return the attempt that an entry belongs to, a run and a number, or the one that it follows, a run and an id."""
    rows = entry.get("rows") or [entry.get("row", {})]
    run = entry.get("run", rows[0].get("run_id"))
    return [(run, entry.get("attempt", rows[0].get("attempt"))), (run, entry.get("earlier"))]


def is_refusal(error: BaseException) -> bool:
    """Say whether an error concerns the entries, so that trying again would not help.

    A full disk, a lock, a missing privilege or table is the database's: the entries wait.
    """
    return _is_refusal(error) or (error.__cause__ is not None and _is_refusal(error.__cause__))


def _is_refusal(error: BaseException) -> bool:
    if isinstance(error, DBAPIError):
        return is_entrys_fault(error)
    return isinstance(error, (LookupError, TypeError, ValueError, ArithmeticError, AttributeError))


_SAME_EPOCH = and_(
    EPOCH.c.run_id == bindparam("run"),
    EPOCH.c.attempt == bindparam("attempt"),
    EPOCH.c.epoch == bindparam("epoch"),
)
_EPOCH_COLUMNS = (
    "attempt", "epoch", "started", "seconds", "learning_rate", "step", "learning_rates",
)  # fmt: skip
"""Those that an entry has under the same name; one of an earlier release lacks the last two."""
_ADD_EPOCH = Prepared(insert(EPOCH), [*_EPOCH_COLUMNS, "run_id", "superseded", "checksum"])
_ADD_METRICS = upserting(
    METRIC,
    ("epoch_id", "name", "position", "value", "value_kind"),
    ("epoch_id", "name"),
    ("value", "value_kind"),
)
_GROW_RUN = Prepared(
    update(RUN)
    .where(RUN.c.id == bindparam("run"))
    .values(
        epochs=RUN.c.epochs + bindparam("more_epochs"),
        seconds=RUN.c.seconds + bindparam("more_seconds"),
        **summaries.JUDGED,
    )
)
_NEWEST_ATTEMPT = select(func.coalesce(func.max(ATTEMPT.c.number), 0)).where(
    ATTEMPT.c.run_id == bindparam("run")
)
_END_RUN = Prepared(
    update(RUN).where(
        RUN.c.id == bindparam("run"), _NEWEST_ATTEMPT.scalar_subquery() <= bindparam("attempt")
    ),
    ["status", "reason", "error", "ended"],
)
_UNCLAIMED = select(func.count()).where(
    ATTEMPT.c.run_id == bindparam("run"),
    ATTEMPT.c.number == bindparam("attempt"),
    ATTEMPT.c.number > 1,
    or_(ATTEMPT.c.first_epoch.is_(None), ATTEMPT.c.first_epoch > bindparam("epoch")),
)
_IS_OUT_OF_TURN = Prepared(
    select(
        LATER_ATTEMPTS.scalar_subquery(),
        _UNCLAIMED.scalar_subquery(),
        select(func.count()).where(_SAME_EPOCH).scalar_subquery(),
    )
)
"""Whether a later attempt has repeated an epoch, it is a resumed one's lowest so far, or it is recorded already."""


def _epoch(connection: Connection, entry: kinds.EpochEntry) -> None:
    run, attempt, number = entry["run"], entry["attempt"], entry["epoch"]
    key = {"run": run, "attempt": attempt, "epoch": number}
    if any(_IS_OUT_OF_TURN.first(connection, key)):
        _epoch_out_of_turn(connection, entry)
        return
    _add_metrics(connection, _add_epoch(connection, entry), entry["metrics"])
    summaries.extend(connection, run, number, entry["metrics"])
    _grow(connection, run, 1, entry["seconds"])


def _add_epoch(connection: Connection, entry: kinds.EpochEntry, *, superseded: bool = False) -> Any:
    row: dict[str, Any] = {name: entry.get(name) for name in _EPOCH_COLUMNS}
    row["run_id"] = entry["run"]
    row["superseded"] = superseded
    row["checksum"] = epoch_checksum(row, entry["metrics"])
    return _ADD_EPOCH.add(connection, row)


def _add_metrics(
    connection: Connection, epoch_id: int, metrics: Iterable[MetricValue], first: int = 0
) -> None:
    rows = [
        (epoch_id, name, place, value, kind)
        for place, (name, value, kind) in enumerate(metrics, start=first)
    ]
    _ADD_METRICS.run_each(connection, rows)


def _grow(connection: Connection, run: str, epochs: int, seconds: float) -> None:
    _GROW_RUN.run(connection, {"run": run, "more_epochs": epochs, "more_seconds": seconds})


def _epoch_out_of_turn(connection: Connection, entry: kinds.EpochEntry) -> None:
    run, attempt, number = entry["run"], entry["attempt"], entry["epoch"]
    trained = _trained_before(connection, entry) if entry.get("adds") else None
    if trained is not None:
        entry = _added_to(connection, trained, entry)
    superseding = supersede(connection, run, attempt, number, kept=entry.get("kept"), lower=True)
    superseded = is_overtaken(connection, run, attempt, number)
    key = {"run": run, "attempt": attempt, "epoch": number}
    known = connection.execute(select(EPOCH).where(_SAME_EPOCH), key).first()
    earlier: dict[str, tuple[Any, Any]] = {}
    if known is None:
        epoch_id = _add_epoch(connection, entry, superseded=superseded)
    else:
        epoch_id = known.id
        seconds = entry["seconds"] if entry.get("timed", True) else known.seconds
        entry = {**entry, "started": known.started, "seconds": seconds}
        earlier = _recorded_metrics(connection, epoch_id)
        connection.execute(_change_epoch(epoch_id, _extended(known, earlier, entry)))
    _add_metrics(connection, epoch_id, entry["metrics"], first=len(earlier))
    changed = earlier and any(
        earlier.get(name, (value, kind)) != (value, kind) for name, value, kind in entry["metrics"]
    )
    if superseding or changed:
        summaries.summarize_epochs(connection, run)
    elif not superseded:
        summaries.extend(connection, run, number, entry["metrics"])
    counted = known or trained
    more = entry["seconds"] - (0.0 if counted is None else counted.seconds)
    _grow(connection, run, int(known is None and not superseded), more)


def _trained_before(connection: Connection, entry: kinds.EpochEntry) -> Any:
    """Return the row of an epoch that an earlier attempt has recorded, and that counts; None without one."""
    rows = select(EPOCH).where(
        EPOCH.c.run_id == entry["run"],
        EPOCH.c.attempt < entry["attempt"],
        EPOCH.c.epoch == entry["epoch"],
        EPOCH.c.superseded.is_(False),
    )
    return connection.execute(rows.order_by(EPOCH.c.attempt.desc())).first()


def _added_to(connection: Connection, trained: Any, entry: kinds.EpochEntry) -> kinds.EpochEntry:
    """Return the entry with what an earlier attempt has recorded of its epoch, and it does not say itself."""
    earlier = _recorded_metrics(connection, trained.id)
    given = {name: (value, kind) for name, value, kind in entry["metrics"]}
    metrics = [(name, *value) for name, value in {**earlier, **given}.items()]
    kept: Any = {
        name: trained._mapping[name]
        for name in _EPOCH_COLUMNS
        if name in ("started", "seconds") or entry.get(name) is None
    }
    return {**entry, **kept, "metrics": metrics}


def _extended(
    known: Any, earlier: Mapping[str, tuple[Any, Any]], entry: kinds.EpochEntry
) -> dict[str, Any]:
    """Return what changes of a recorded epoch: what the entry says, and the checksum over all.

    One that has none, or no longer the right one, gets none: it would hide what has happened to it.
    """
    said = {name: entry[name] for name in _EPOCH_COLUMNS if entry.get(name) is not None}  # type: ignore[literal-required]
    of_earlier = [(name, *value) for name, value in earlier.items()]
    if known.checksum is None or not is_intact(known, of_earlier):
        return said
    given = {name: (value, kind) for name, value, kind in entry["metrics"]}
    metrics = [(name, *value) for name, value in {**earlier, **given}.items()]
    return said | {"checksum": epoch_checksum({**known._mapping, **said}, metrics)}


def _change_epoch(epoch_id: int, columns: dict[str, Any]) -> Update:
    return update(EPOCH).where(EPOCH.c.id == epoch_id).values(**columns)


def _recorded_metrics(connection: Connection, epoch_id: int) -> dict[str, tuple[Any, Any]]:
    metrics = select(METRIC.c.name, METRIC.c.value, METRIC.c.value_kind)
    rows = connection.execute(metrics.where(METRIC.c.epoch_id == epoch_id))
    return {row.name: (row.value, row.value_kind) for row in rows}


def _decision(connection: Connection, entry: kinds.DecisionEntry) -> None:
    row = entry["row"]
    place = row["run_id"], row["attempt"], row["epoch"]
    if entry.get("claims", True) and supersede(connection, *place, kept=entry.get("kept")):
        summaries.summarize_epochs(connection, row["run_id"])
    superseded = is_overtaken(connection, *place)
    upsert(
        connection,
        DECISION,
        [{**row, "superseded": superseded}],
        ("run_id", "attempt", "number"),
        (),
    )


def _checkpoint(connection: Connection, entry: kinds.CheckpointEntry) -> None:
    """Register a complete file; with ``pending`` set, one that is about to take its name."""
    row = entry["row"]
    upsert(connection, CHECKPOINT, [row], ("id",), ("state", "pending"))
    others = and_(CHECKPOINT.c.path == row["path"], CHECKPOINT.c.id != row["id"])
    replaced = update(CHECKPOINT).where(others, CHECKPOINT.c.state == CheckpointState.AVAILABLE)
    connection.execute(replaced.values(state=CheckpointState.PRUNED, pending=row["pending"]))
    if not row["pending"]:
        connection.execute(update(CHECKPOINT).where(others).values(pending=False))


def _replaced(connection: Connection, entry: kinds.ReplacedEntry) -> None:
    """Note where the file is that another one replaces: in the store, if it is the one that was put there."""
    there = and_(
        CHECKPOINT.c.path == entry["path"], CHECKPOINT.c.state == CheckpointState.AVAILABLE
    )
    stored = entry["stored"]
    if stored is None:
        connection.execute(update(CHECKPOINT).where(there).values(state=CheckpointState.PRUNED))
        return
    connection.execute(
        update(CHECKPOINT)
        .where(
            there,
            CHECKPOINT.c.sha256 == stored["sha256"],
            CHECKPOINT.c.bytes == stored["bytes"],
            or_(CHECKPOINT.c.run_id != entry["run"], CHECKPOINT.c.pinned.is_(True)),
        )
        .values(path=stored["path"], original_path=entry["path"], kept=stored["rule"])
    )


def _checkpoint_state(connection: Connection, entry: kinds.CheckpointStateEntry) -> None:
    change = update(CHECKPOINT).values(state=entry["state"], pending=entry["pending"])
    if entry["state"] == CheckpointState.PRUNED and not entry["pending"]:
        # What left the store is one that was overwritten, like those that never were in it.
        name = func.coalesce(CHECKPOINT.c.original_path, CHECKPOINT.c.path)
        change = change.values(path=name, original_path=None, kept=None)
    if entry["state"] in _SEEN:
        change = change.where(CHECKPOINT.c.state != CheckpointState.PRUNED)
    for ids in in_parts(entry["ids"]):
        connection.execute(change.where(CHECKPOINT.c.id.in_(ids)))


_SEEN = (CheckpointState.MISSING, CheckpointState.MODIFIED)
"""What a file was found to be; the finding does not apply to one that has been pruned since."""


def _params(connection: Connection, entry: kinds.ParamsEntry) -> None:
    if entry.get("attempt", 1) > 1 and entry["rows"]:
        _keep_former_params(connection, entry["rows"], entry.get("attempt", 1) - 1)
    upsert(connection, PARAM, entry["rows"], ("run_id", "name"), ("kind", "text", "number"))


def _keep_former_params(
    connection: Connection, rows: Sequence[kinds.ParamRow], attempt: int
) -> None:
    """Keep what these parameters were up to an attempt, where they change now or are new."""
    new = {row["name"]: (row["kind"], row["text"]) for row in rows}
    run = rows[0]["run_id"]
    statement = select(PARAM).where(PARAM.c.run_id == run)
    known = {
        param.name: param
        for some in in_parts(list(new))
        for param in connection.execute(statement.where(PARAM.c.name.in_(some)))
    }
    absent = {"run_id": run, "kind": "absent", "text": "", "number": None}
    former = [
        {
            **(known[name]._mapping if name in known else {**absent, "name": name}),
            "attempt": attempt,
        }
        for name, value in new.items()
        if name not in known or (known[name].kind, known[name].text) != value
    ]
    upsert(connection, FORMER_PARAM, former, ("run_id", "attempt", "name"), ())


def _tags(connection: Connection, entry: kinds.TagsEntry) -> None:
    upsert(connection, TAG, entry["rows"], ("run_id", "name"), ("value",))


def _policy(connection: Connection, entry: kinds.PolicyEntry) -> None:
    row = entry["row"]
    mode = mode_in(row["config"])
    if mode not in ("min", "max"):
        mode = None
    upsert(connection, POLICY, [{**row, "mode": mode}], ("id",), ("config", "mode"))
    if row["monitor"] is None:
        return
    summaries.judge_by(connection, row["run_id"], row["monitor"])
    if mode is not None:
        define = kinds.definition(row["run_id"], row["monitor"], mode, DirectionSource.CALLBACK)
        _definition(connection, define)


def _definition(connection: Connection, entry: kinds.DefinitionEntry) -> None:
    row = entry["row"]
    upsert(connection, METRIC_DEFINITION, [row], ("run_id", "name"), _stronger)
    if row["monitor"]:
        summaries.judge_by(connection, row["run_id"], row["name"])


def _stronger(new: Mapping[str, Any]) -> dict[str, Any]:
    """Let what a user declares replace what a callback was given, and either what only a name says."""
    old = METRIC_DEFINITION.c
    declared = new["source"] == DirectionSource.DECLARED
    weaker = (old.source == DirectionSource.NAME) | (
        (old.source == DirectionSource.CALLBACK) & (new["source"] == DirectionSource.CALLBACK)
    )
    wins = or_(declared, weaker)
    return {
        "mode": case((wins, new["mode"]), else_=old.mode),
        "source": case((wins, new["source"]), else_=old.source),
        "monitor": or_(old.monitor, new["monitor"]),
    }


def _attempt(connection: Connection, entry: kinds.AttemptEntry) -> None:
    """Change columns of an attempt: heartbeat, counts; what was captured is added to what it has."""
    columns = entry["values"]
    if entry.get("live"):
        columns = {**columns, "heard": heard_now(connection)}
    captured = columns.get("captured")
    if captured is not None:
        columns = {**columns, "captured": _with_sections(connection, entry["id"], captured)}
    update_row(connection, ATTEMPT, entry["id"], columns)
    if captured is not None:
        facts.store(connection, entry["id"])


def _with_sections(connection: Connection, attempt_id: str, captured: str) -> str:
    """Return what an attempt has captured with these sections, all as JSON."""
    known = connection.execute(select(ATTEMPT.c.captured).where(ATTEMPT.c.id == attempt_id))
    return values.to_json({**values.object_in(known.scalar()), **values.object_in(captured)})


def _end(connection: Connection, entry: kinds.EndEntry) -> None:
    ending: kinds.Ending = {
        "status": entry["status"],
        "reason": entry["reason"],
        "error": entry["error"],
        "ended": entry["ended"],
    }
    update_row(connection, ATTEMPT, entry["id"], {**ending, "heartbeat": entry["ended"]})
    key = {"run": entry["run"], "attempt": entry["attempt"]}
    _END_RUN.run(connection, {**entry.get("kept", ending), **key})


def _series(connection: Connection, entry: kinds.SeriesEntry) -> None:
    """Upsert one block of calls: its clock and the values of each series."""
    step_metrics.store(connection, [entry])


def _follow(connection: Connection, entry: kinds.FollowEntry) -> None:
    """End an attempt and begin the next one, in the same process."""
    earlier = ATTEMPT.c.id == entry["earlier"]
    row = connection.execute(select(ATTEMPT).where(earlier)).mappings().first()
    if row is None:
        # The database has lost it; the next one is made by its origin.
        return
    fresh = {
        "id": entry["id"],
        "number": entry["number"],
        "first_epoch": None,
        "spooled": 0,
        "dropped": 0,
        "waited": 0.0,
    }
    new = {
        **row,
        **fresh,
        "status": RunStatus.RUNNING,
        "started": entry["time"],
        "heartbeat": entry["time"],
        "heard": heard_now(connection),
    }
    upsert(connection, ATTEMPT, [{**new, "ended": None}], ("id",), ())
    ended = {
        "status": RunStatus.FINISHED,
        "reason": "the run went on at an earlier epoch",
        "ended": entry["time"],
    }
    connection.execute(update(ATTEMPT).where(earlier).values(**ended))


def _origin(connection: Connection, entry: kinds.OriginEntry) -> None:
    """Make a run and its attempt where the database does not have them."""
    upsert(connection, RUN, [entry["run"]], ("id",), ())
    counts = {"spooled": 0, "dropped": 0, "waited": 0.0}
    upsert(connection, ATTEMPT, [{**entry["attempt"], **counts}], ("id",), ())


_WRITERS: dict[str, Callable[[Connection, Any], None]] = {
    "epoch": _epoch,
    "decision": _decision,
    "checkpoint": _checkpoint,
    "checkpoint_state": _checkpoint_state,
    "replaced": _replaced,
    "params": _params,
    "tags": _tags,
    "policy": _policy,
    "definition": _definition,
    "attempt": _attempt,
    "end": _end,
    "series": _series,
    "follow": _follow,
    "origin": _origin,
}
