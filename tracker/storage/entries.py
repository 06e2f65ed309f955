"""What a run records, as entries: one `TypedDict` per kind, each made by the function named after it.

An entry is plain data, so that it can be kept as a line of JSON (`tracker.storage.spool`) until the
database takes it (`tracker.storage.journal`). The keys are those of every release: a spool that an
earlier release has left behind is applied by this one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from tracker import values
from tracker.clock import now
from tracker.errors import BadValue
from tracker.redact import redact
from tracker.states import CheckpointState, DirectionSource, RunStatus

if TYPE_CHECKING:
    # Loads NumPy, which a listing does without.
    from tracker.series.blocks import CallBlock, Ints

LONGEST_TEXT = 20_000
"""Characters of a reason or an exception's text that are kept."""


class Kept(TypedDict):
    """What an attempt that resumes in the middle of an epoch does not repeat: what was recorded before.

    ``attempt`` made the backup after ``step`` training batches, when its decisions had numbers below ``decisions``.
    """

    attempt: int
    decisions: int
    step: int


class EpochEntry(TypedDict):
    """An epoch and its metrics; a later entry of the same epoch adds to it.

    ``adds``: also to what an earlier attempt has recorded of it, which this one does not repeat. ``timed``: whether
    somebody has said how long it took; else an epoch that is recorded keeps its seconds. ``kept``: what of this
    epoch is not superseded.
    """

    kind: Literal["epoch"]
    run: str
    attempt: int
    epoch: int
    started: int
    seconds: float
    learning_rate: float | None
    metrics: Sequence[values.MetricValue]
    step: NotRequired[int | None]
    learning_rates: NotRequired[str | None]
    adds: NotRequired[bool]
    timed: NotRequired[bool]
    kept: NotRequired[Kept | None]


class DecisionRow(TypedDict):
    """The columns of `tracker.models.Decision`."""

    run_id: str
    attempt: int
    number: int
    policy_id: str
    epoch: int
    step: int | None
    monitor: str | None
    value: float | None
    value_kind: str | None
    best: float | None
    best_kind: str | None
    best_epoch: int | None
    wait: int | None
    verdict: str
    reason: str
    lr_before: float | None
    lr_after: float | None
    path: str | None
    state: str | None
    decided: int
    superseded: bool


class DecisionEntry(TypedDict):
    """A decision.

    ``claims``: whether what earlier attempts recorded from its epoch on is superseded; ``kept``: what of this epoch
    is not.
    """

    kind: Literal["decision"]
    claims: NotRequired[bool]
    kept: NotRequired[Kept | None]
    row: DecisionRow


class CheckpointRow(TypedDict):
    """The columns of `tracker.models.Checkpoint`."""

    id: str
    run_id: str
    attempt: int
    policy_id: str | None
    path: str
    bytes: int
    sha256: str
    epoch: int | None
    step: int | None
    monitor: str | None
    value: float | None
    value_kind: str | None
    metrics: str
    state: str
    pending: bool
    pinned: bool
    created: int


class StoredFile(TypedDict):
    """A replaced file that was linked into the store: its path there, what tells its row, the rule."""

    path: str
    bytes: int
    sha256: str
    rule: str


class ReplacedEntry(TypedDict):
    """What becomes of the file that had a path: it is in the store from now on; without ``stored`` it is gone."""

    kind: Literal["replaced"]
    run: str
    path: str
    stored: StoredFile | None


class CheckpointEntry(TypedDict):
    """A complete file; with ``pending`` set in its row, one that is about to take its name."""

    kind: Literal["checkpoint"]
    row: CheckpointRow


class CheckpointStateEntry(TypedDict):
    """A state that registered files have from now on."""

    kind: Literal["checkpoint_state"]
    ids: list[str]
    state: str
    pending: bool


class ParamRow(TypedDict):
    """The columns of `tracker.models.Param`."""

    run_id: str
    name: str
    kind: str
    text: str
    number: float | None


class ParamsEntry(TypedDict):
    """Hyperparameters; a later value of the same name replaces an earlier one."""

    kind: Literal["params"]
    attempt: NotRequired[int]
    rows: list[ParamRow]


class TagRow(TypedDict):
    """The columns of `tracker.models.Tag`."""

    run_id: str
    name: str
    value: str


class TagsEntry(TypedDict):
    """Labels; a later value of the same name replaces an earlier one."""

    kind: Literal["tags"]
    rows: list[TagRow]


class PolicyRow(TypedDict):
    """The columns of `tracker.models.Policy` but for the mode, which is in the configuration."""

    id: str
    run_id: str
    attempt: int
    number: int
    kind: str
    monitor: str | None
    rules: str | None
    config: str


class PolicyEntry(TypedDict):
    """A callback's configuration; a later one of the same id replaces it."""

    kind: Literal["policy"]
    row: PolicyRow


class DefinitionRow(TypedDict):
    """The columns of `tracker.models.MetricDefinition`."""

    run_id: str
    name: str
    mode: str | None
    source: str
    monitor: bool


class DefinitionEntry(TypedDict):
    """Which way is better for a metric; what a user says replaces what a callback was given."""

    kind: Literal["definition"]
    row: DefinitionRow


class AttemptEntry(TypedDict):
    """Columns of an attempt that change: what was captured, the heartbeat, counts.

    ``live``: the attempt writes this itself, now; never of an entry that was kept for later.
    """

    kind: Literal["attempt"]
    id: str
    values: dict[str, Any]
    live: NotRequired[bool]


class Ending(TypedDict):
    """How a run ended, or that it has not: what a resume takes away and a refused one gives back."""

    status: str
    reason: str | None
    error: str | None
    ended: int | None


class EndEntry(TypedDict):
    """The end of an attempt, and of its run; with ``kept`` the run ends as it had before the attempt."""

    kind: Literal["end"]
    run: str
    id: str
    attempt: int
    status: str
    reason: str | None
    error: str | None
    ended: int
    kept: NotRequired[Ending]


class ClockRow(TypedDict):
    """The columns of `tracker.models.Clock`."""

    run_id: str
    attempt: int
    number: int
    calls: int
    first_step: int
    last_step: int
    started: int
    final: bool
    payload: bytes


class StepSummary(TypedDict):
    """The fields of `tracker.series.blocks.SeriesSummary`."""

    last: float
    last_step: int
    min: float | None
    min_step: int | None
    max: float | None
    max_step: int | None


class BlockValues(TypedDict):
    """The values of one series in a block of calls; early releases kept no summary of them."""

    name: str
    points: int
    first_step: int
    last_step: int
    payload: bytes
    summary: NotRequired[StepSummary]


class SparseValues(TypedDict):
    """The values of all series that few calls of a block had: how many points each of the names has.

    Until it is spooled, the names may be numbered (`tracker.series.batch.CodedNames`), and the counts are an array.
    """

    names: Sequence[str]
    counts: Sequence[int] | Ints
    first_step: int
    last_step: int
    payload: bytes


class SeriesEntry(TypedDict):
    """One block of calls: its clock, the values of each series, and those that share a payload."""

    kind: Literal["series"]
    run: str
    attempt: int
    clock: ClockRow
    blocks: list[BlockValues]
    sparse: NotRequired[SparseValues]


class OriginRun(TypedDict):
    """The columns of `tracker.models.Run` that a run begins with."""

    id: str
    name: str
    experiment: str
    status: str
    started: int
    seconds: float
    epochs: int


class OriginAttempt(TypedDict):
    """The columns of `tracker.models.Attempt` that an attempt begins with."""

    id: str
    run_id: str
    number: int
    status: str
    started: int
    heartbeat: int
    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    process_started: float
    captured: str


class OriginEntry(TypedDict):
    """Whose records follow: the first entry of a spool, for a database that has lost the run or never had it.

    ``database`` tells the database apart from others that share the folder (`Location.label`).
    """

    kind: Literal["origin"]
    database: str
    run: OriginRun
    attempt: OriginAttempt


class FollowEntry(TypedDict):
    """The end of an attempt and the start of the next one, in the same process."""

    kind: Literal["follow"]
    run: str
    earlier: str
    id: str
    number: int
    time: int


Entry = (
    EpochEntry
    | DecisionEntry
    | CheckpointEntry
    | CheckpointStateEntry
    | ReplacedEntry
    | ParamsEntry
    | TagsEntry
    | PolicyEntry
    | DefinitionEntry
    | AttemptEntry
    | EndEntry
    | SeriesEntry
    | FollowEntry
    | OriginEntry
)


def epoch(
    run_id: str,
    attempt: int,
    number: int,
    started: int,
    seconds: float,
    learning_rate: float | None,
    metrics: Sequence[values.MetricValue],
    *,
    step: int | None = None,
    learning_rates: str | None = None,
    adds: bool = False,
    timed: bool = True,
    kept: Kept | None = None,
) -> EpochEntry:
    """Return the entry of an epoch; a learning rate that is not finite is left out.

    Of metrics with the same name, as 1 and "1" have, the last counts. ``learning_rates`` is JSON, by parameter
    group; ``step`` is how many batches were done at its end.
    """
    known = learning_rate is not None and math.isfinite(learning_rate)
    by_name = {metric[0]: metric for metric in metrics}
    if len(by_name) < len(metrics):
        metrics = list(by_name.values())
    return {
        "kind": "epoch",
        "run": run_id,
        "attempt": attempt,
        "epoch": number,
        "started": started,
        "seconds": seconds,
        "learning_rate": learning_rate if known else None,
        "metrics": metrics,
        "step": step,
        "learning_rates": learning_rates,
        "adds": adds,
        "timed": timed,
        "kept": kept,
    }


def decision(row: DecisionRow, *, claims: bool, kept: Kept | None = None) -> DecisionEntry:
    """Return the entry of a decision."""
    return {"kind": "decision", "claims": claims, "kept": kept, "row": row}


def checkpoint(row: CheckpointRow) -> CheckpointEntry:
    """Return the entry that registers a file."""
    return {"kind": "checkpoint", "row": row}


def replaced(run_id: str, path: str, stored: StoredFile | None) -> ReplacedEntry:
    """Return the entry that says where the file that had ``path`` is, which this run replaces."""
    return {"kind": "replaced", "run": run_id, "path": path, "stored": stored}


def checkpoint_state(
    ids: list[str], state: CheckpointState | str, *, pending: bool = False
) -> CheckpointStateEntry:
    """Return the entry that gives checkpoints a state; ``pending``: until their files say so."""
    return {"kind": "checkpoint_state", "ids": ids, "state": state, "pending": pending}


def params(run_id: str, given: Mapping[str, Any], attempt: int = 1) -> ParamsEntry:
    """Return the entry of hyperparameters, which nested mappings have by path: ``opt.lr``.

    Args:
        run_id: the run.
        given: names and values, or an object that holds them: see `tracker.values.held`.
        attempt: the attempt that they hold from; what an earlier one had is kept with that.

    Raises:
        BadValue: if they are not a mapping, a value cannot be kept, or two names are one when they are written by path.
    """
    try:
        held = values.held(given)
        pairs = dict(given.items() if held is None else held.items())
    except Exception as error:  # whatever its own methods raise
        raise values.no_mapping(given, "params", "a dict of names and values") from error
    rows: dict[str, ParamRow] = {}
    for name, value in _leaves(pairs):
        row = _param(run_id, name, value)
        if rows.setdefault(name, row) != row:
            raise BadValue(
                f"params has {name} twice, with {values.param_decode(rows[name]['kind'], rows[name]['text'])!r} and "
                f"{values.brief(value)}: a nested name is written with dots. Rename one of them."
            )
    return {"kind": "params", "attempt": attempt, "rows": list(rows.values())}


def _leaves(params: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    try:
        return [
            (values.name_text(name, "A parameter's name"), value)
            for name, value in values.leaves(params)
        ]
    except BadValue:
        raise
    except Exception as error:  # whatever a mapping's own methods raise
        raise values.no_mapping(params, "params", "a dict of names and values") from error


def _param(run_id: str, name: str, value: Any) -> ParamRow:
    kind, text, number = values.param_encode(value)
    return {
        "run_id": run_id,
        "name": name,
        "kind": kind,
        "text": text,
        "number": number,
    }


def tags(run_id: str, given: Mapping[str, Any] | Iterable[str]) -> TagsEntry:
    """Return the entry of tags.

    Raises:
        BadValue: if they are neither a mapping nor names.
    """
    if isinstance(given, str):
        given = [given]
    try:
        pairs = given.items() if isinstance(given, Mapping) else [(name, "") for name in given]
    except Exception as error:  # whatever its own methods raise
        raise values.no_mapping(given, "tags", "names, or a dict of names and values") from error
    return {"kind": "tags", "rows": [_tag(run_id, name, value) for name, value in pairs]}


def _tag(run_id: str, name: Any, value: Any) -> TagRow:
    text = values.text_of(value, "A tag's value")
    return {"run_id": run_id, "name": values.name_text(name, "A tag's name"), "value": text}


def policy(row: PolicyRow) -> PolicyEntry:
    """Return the entry of a callback's configuration."""
    return {"kind": "policy", "row": row}


def definition(
    run_id: str, name: str, mode: str | None, source: DirectionSource, *, monitor: bool = False
) -> DefinitionEntry:
    """Return the entry that says which way is better for a metric."""
    return {
        "kind": "definition",
        "row": {"run_id": run_id, "name": name, "mode": mode, "source": source, "monitor": monitor},
    }


def attempt(attempt_id: str, **columns: Any) -> AttemptEntry:
    """Return the entry that changes columns of an attempt."""
    return {"kind": "attempt", "id": attempt_id, "values": columns}


def heartbeat(attempt_id: str, **columns: Any) -> AttemptEntry:
    """Return the entry of an attempt that lives, for the transaction that it is made for."""
    return {**attempt(attempt_id, **columns), "live": True}


def end(
    run_id: str,
    attempt_id: str,
    number: int,
    status: RunStatus,
    reason: str | None,
    error: BaseException | str | None,
    *,
    kept: Ending | None = None,
) -> EndEntry:
    """Return the entry that ends an attempt, and its run; text is redacted.

    Args:
        run_id: the run.
        attempt_id, number: the attempt.
        status, reason, error: how it ended.
        kept: how the run had ended before, where this attempt must not change that.
    """
    entry: EndEntry = {
        "kind": "end",
        "run": run_id,
        "id": attempt_id,
        "attempt": number,
        "status": status,
        "reason": None if reason is None else _kept_text(str(reason)),
        "error": None if error is None else _kept_text(_error_text(error)),
        "ended": now(),
    }
    if kept is not None:
        entry["kept"] = kept
    return entry


def _error_text(error: BaseException | str) -> str:
    if isinstance(error, str):
        return error
    try:
        text = str(error)
    except Exception:  # an exception whose text raises
        text = ""
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _kept_text(text: str) -> str:
    """Redact what somebody wrote, and cut what nobody would read."""
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]} … ({len(text)} characters)"
    return values.clean_text(redact(text))


def series(run_id: str, attempt: int, block: CallBlock) -> SeriesEntry:
    """Return the entry that stores one block of calls."""
    entry: SeriesEntry = {
        "kind": "series",
        "run": run_id,
        "attempt": attempt,
        "clock": {
            "run_id": run_id,
            "attempt": attempt,
            "number": block.number,
            "calls": block.calls,
            "first_step": block.first_step,
            "last_step": block.last_step,
            "started": block.started,
            "final": block.final,
            "payload": block.payload,
        },
        "blocks": [
            {
                "name": column.name,
                "points": column.points,
                "first_step": column.first_step,
                "last_step": column.last_step,
                "payload": column.payload,
                "summary": {
                    "last": column.summary.last,
                    "last_step": column.summary.last_step,
                    "min": column.summary.min,
                    "min_step": column.summary.min_step,
                    "max": column.summary.max,
                    "max_step": column.summary.max_step,
                },
            }
            for column in block.series
        ],
    }
    if block.sparse is not None:
        entry["sparse"] = {
            "names": block.sparse.names,
            "counts": block.sparse.counts,
            "first_step": block.sparse.first_step,
            "last_step": block.sparse.last_step,
            "payload": block.sparse.payload,
        }
    return entry


def origin(
    database: str,
    run: tuple[str, str, str],
    attempt_id: str,
    number: int,
    started: int,
    process: Mapping[str, Any],
    captured: str,
) -> OriginEntry:
    """Return the entry that makes a run and its attempt where the database does not have them.

    Args:
        database: its label.
        run: id, name and experiment.
        attempt_id, number: the attempt.
        started: when it began.
        process: the columns of an attempt that identify its process.
        captured: what was captured, as JSON.
    """
    run_id, name, experiment = run
    return {
        "kind": "origin",
        "database": database,
        "run": {
            "id": run_id,
            "name": name,
            "experiment": experiment,
            "status": RunStatus.RUNNING,
            "started": started,
            "seconds": 0.0,
            "epochs": 0,
        },
        "attempt": {
            "id": attempt_id,
            "run_id": run_id,
            "number": number,
            "status": RunStatus.RUNNING,
            "started": started,
            "heartbeat": now(),
            "host": process["host"],
            "boot_id": process["boot_id"],
            "pid_namespace": process["pid_namespace"],
            "pid": process["pid"],
            "process_started": process["process_started"],
            "captured": captured,
        },
    }


def follow(run_id: str, earlier_id: str, attempt_id: str, number: int) -> FollowEntry:
    """Return the entry that ends an attempt and begins the next one in the same process."""
    return {
        "kind": "follow",
        "run": run_id,
        "earlier": earlier_id,
        "id": attempt_id,
        "number": number,
        "time": now(),
    }
