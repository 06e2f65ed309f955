"""Start a run, or resume one."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from sqlalchemy import Connection, bindparam, func, select, update

from tracker import process, values
from tracker.checkpointing.store import Keeping, keeping
from tracker.clock import now
from tracker.errors import BadValue, NothingToResume, UnknownRun
from tracker.ids import new_id
from tracker.models import ATTEMPT, RUN
from tracker.policies.modes import check_declared
from tracker.queries.resolve import find_run
from tracker.ranks import enabled
from tracker.recording import active
from tracker.recording import resume as earlier
from tracker.recording.capture import capture
from tracker.recording.null_recorder import NullRecorder
from tracker.recording.recorder import Recorder
from tracker.recording.recovery import recover_with, refuse_busy
from tracker.recording.run import Run
from tracker.recording.sampled import SampledMetrics
from tracker.recording.system_metrics import sampler_of
from tracker.remote import checked_url
from tracker.states import RunStatus
from tracker.storage import entries, facts, journal
from tracker.storage.database import Database, Location, Reader, locate
from tracker.storage.liveness import heard_now
from tracker.storage.prepare import prepare
from tracker.storage.statements import Prepared, insert_row
from tracker.variables import KEEP, KEEP_BYTES, REMOTE

DEFAULT_EXPERIMENT = "default"
UNFINISHED = (RunStatus.RUNNING, RunStatus.LOST, RunStatus.INTERRUPTED, RunStatus.FAILED)
_WHEN_BUSY = "Wait for it, or start a run of its own."


class RunOptions(TypedDict, total=False):
    """What only the start of a run can say; see `start_run`."""

    keep: str | None
    keep_bytes: int | str | None
    remote: str | None
    system_metrics: bool | None
    price_per_hour: float | None


class StartOptions(RunOptions, total=False):
    """What else a training loop may start its run with; see `start_run`."""

    monitor: str | None
    mode: str | None


def start_run(
    experiment: str | None = None,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | Iterable[str] | None = None,
    database: str | os.PathLike[str] | None = None,
    resume: str | None = None,
    *,
    parent: Run | str | None = None,
    strict: bool = False,
    recording: bool | None = None,
    monitor: str | None = None,
    mode: str | None = None,
    keep: str | None = None,
    keep_bytes: int | str | None = None,
    remote: str | None = None,
    system_metrics: bool | None = None,
    price_per_hour: float | None = None,
) -> Run:
    """Start recording a training run; a context manager, which ends the run with an honest status.

    Args:
        experiment: what groups runs; "default" by default.
        name: by default the experiment and a number, such as ``digits-3``.
        params: hyperparameters, see `Run.log_params`.
        tags: labels, see `Run.set_tags`.
        database: a path or URL; see `tracker.storage.location.locate`.
        resume: None starts a run; an id, unique id prefix or name resumes that one; "auto" resumes
            the newest unfinished run of the same experiment (and name, when given), or starts one.
        parent: the run (or its id) that this one belongs to, in a sweep. Where ``database`` is left out, a run
            is in its parent's.
        strict: raise what cannot be recorded, instead of keeping it for later.
        recording: False for a run that records nothing, and so silences the callbacks that join it;
            by default `tracker.enabled` decides.
        monitor: the metric that the run is judged by, in lists and comparisons; by default the one that
            its callbacks monitor, else a validation loss.
        mode: which way is better for it, see `Run.define_metric`.
        keep: which files of other runs, which this one replaces, are kept in the data folder: "best" of
            each experiment and monitor, which is the default, the best of each "run", or "none"; pinned
            ones always. Without it, the variable ``TRACKER_KEEP`` says it.
        keep_bytes: how much they may take: bytes, or text such as "20GB"; without it, the variable
            ``TRACKER_KEEP_BYTES`` says it, else there is no limit.
        remote: the URL of a folder that each checkpoint is copied to in the background, once it is on the
            disk: ``s3://bucket/folder``, ``gs://…`` or any protocol of fsspec; see `tracker.remote`. Without
            it, the variable ``TRACKER_REMOTE`` says it; "" for none.
        system_metrics: whether to measure processor, memory, disk, network and graphics cards every 15
            seconds, as step metrics under ``system/``; by default yes, unless ``TRACKER_SYSTEM=off``.
        price_per_hour: what an hour of the machine costs, in whatever currency: `tracker runs show` then
            says what the run cost. A resumed run keeps its price where none is given.

    Raises:
        BadValue: for params without names, an empty name, or what else cannot be taken.
        UsageError: for ``remote``, when a package is missing.
        NothingToResume, RunBusy: for ``resume``; the latter names host, pid and since when.
        StoreError: when the database cannot be used. Once the run has started, a database that fails raises nothing,
            unless ``strict``.
    """
    given = DEFAULT_EXPERIMENT if experiment is None else experiment
    experiment = values.name_text(given, "experiment") or DEFAULT_EXPERIMENT
    name = None if name is None else values.name_text(name, "name")
    if name == "":
        raise BadValue("name is empty: leave it out for a numbered one.")
    check_monitor(monitor, mode)
    keeping = _keeping(keep, keep_bytes)
    folder = os.environ.get(REMOTE) if remote is None else remote
    remote = checked_url(folder) if folder else None
    price = _price(price_per_hour)
    if not (enabled() if recording is None else recording):
        run = _silent_run(experiment, name, strict)
        # What is refused is refused on every rank.
        run.log_params(params or {})
        run.set_tags(tags or {})
    else:
        request = _Request(
            experiment, name, params or {}, tags or {}, resume, parent, price, system_metrics
        )
        run = _recorded_run(
            _location(database, parent), request, strict, keeping, remote, asked=recording is True
        )
    active.enter(run)
    if monitor is not None:
        run.define_metric(monitor, mode, monitor=True)
    return run


def _location(database: str | os.PathLike[str] | None, parent: Run | str | None) -> Location:
    """Return the database that is named; else the parent's, which a change of the working directory leaves."""
    if database is None and isinstance(parent, Run) and parent.writer.location is not None:
        return parent.writer.location
    return locate(database)


def check_monitor(monitor: str | None, mode: str | None) -> None:
    """Check what a run is judged by, before anything is written.

    Raises:
        BadValue: for a name or a mode that cannot be, or a mode of no metric.
    """
    if monitor is not None:
        values.name_text(monitor, "monitor")
        check_declared(mode)
    elif mode is not None:
        raise BadValue(f"mode is {mode!r}, but of which metric? Pass monitor= as well.")


def _keeping(keep: str | None, keep_bytes: int | str | None) -> Keeping:
    """Return what is kept: what was asked for, else what the environment says."""
    rule = os.environ.get(KEEP) or None if keep is None else keep
    limit = os.environ.get(KEEP_BYTES) or None if keep_bytes is None else keep_bytes
    return Keeping() if rule is None and limit is None else keeping(rule, limit)


@dataclass(frozen=True)
class _Request:
    """What was asked for; see `start_run`."""

    experiment: str
    name: str | None
    params: Mapping[str, Any]
    tags: Mapping[str, Any] | Iterable[str]
    resume: str | None
    parent: Run | str | None
    price_per_hour: float | None
    system_metrics: bool | None


@dataclass(frozen=True)
class _Opened:
    """The run that the opening transaction made or resumed, and the attempt that it added.

    Attributes:
        run_id, name, experiment: the run.
        began: when it began, in µs since 1970.
        attempt_id, attempt: id and number of the attempt.
        first_epoch, next_step: where a resumed run continues.
        ending: how a resumed run had ended; None for a new one.
    """

    run_id: str
    name: str
    experiment: str
    began: int
    attempt_id: str = field(default_factory=new_id)
    attempt: int = 1
    first_epoch: int = 0
    next_step: int = 0
    ending: entries.Ending | None = None


def _silent_run(experiment: str, name: str | None, strict: bool) -> Run:
    return Run(
        id=new_id(),
        name=name or experiment,
        experiment=experiment,
        writer=NullRecorder(strict=strict),
    )


def _price(price_per_hour: float | None) -> float | None:
    if price_per_hour is None:
        return None
    try:
        price = values.number(price_per_hour, "price_per_hour")
    except BadValue:
        price = math.nan
    if not 0 <= price < math.inf:
        given = values.brief(price_per_hour)
        raise BadValue(
            f"price_per_hour is {given}: give what an hour costs as a number of 0 or more."
        )
    return price


def _recorded_run(
    location: Location,
    request: _Request,
    strict: bool,
    keeping: Keeping,
    remote: str | None,
    *,
    asked: bool,
) -> Run:
    prepare(location)
    captured = capture()
    as_json = values.to_json(captured)
    database = Database(location, patience=10)
    try:
        recover_with(database)
        opened = _open(database, request, captured, as_json)
    except BaseException:
        database.close()
        raise
    folder = None if location.path is None else location.path.parent
    sampled = SampledMetrics(
        opened.run_id, opened.attempt, began=opened.began,
        sampler=sampler_of(folder, request.system_metrics),
    )  # fmt: skip
    recorder = Recorder(
        database.for_recording(),
        opened.run_id,
        opened.attempt_id,
        opened.attempt,
        next_step=opened.next_step,
        strict=strict,
        origin=_origin(location, opened, as_json),
        sampled=sampled,
    )
    run = Run(
        id=opened.run_id,
        name=opened.name,
        experiment=opened.experiment,
        attempt=opened.attempt,
        first_epoch=opened.first_epoch,
        writer=recorder,
        captured=captured,
        ending=opened.ending,
        recording_asked=asked,
        keeping=keeping,
        remote=remote,
    )
    sampled.tell = run.note_unread
    return run


def _origin(
    location: Location, opened: _Opened, captured: str
) -> Callable[[str, int], entries.OriginEntry]:
    """Return what makes the run in a database that has lost it."""
    started, run = now(), (opened.run_id, opened.name, opened.experiment)

    def origin(attempt_id: str, number: int) -> entries.OriginEntry:
        identity = process.me().as_dict()
        return entries.origin(
            location.label(), run, attempt_id, number, started, identity, captured
        )

    return origin


def _open(database: Database, request: _Request, captured: dict[str, Any], as_json: str) -> _Opened:
    with database.transaction(alone=True) as connection:
        reader = Reader(database.location, connection)
        row = _run_to_resume(reader, request)
        opened = _create(reader, request) if row is None else _resume(reader, row, request)
        _add_attempt(connection, opened, as_json)
        if row is not None:
            changes = earlier.changes(
                reader, opened.run_id, opened.attempt, request.params, captured
            )
            changes.report(opened.name)
        given = (
            entries.params(opened.run_id, request.params, opened.attempt),
            entries.tags(opened.run_id, request.tags),
        )
        journal.apply(connection, given)
    return opened


def _create(reader: Reader, request: _Request) -> _Opened:
    name = request.name or _numbered(reader.connection, request.experiment)
    opened = _Opened(new_id(), name, request.experiment, now())
    row = {
        "id": opened.run_id,
        "name": opened.name,
        "experiment": opened.experiment,
        "status": RunStatus.RUNNING,
        "started": opened.began,
        "seconds": 0.0,
        "epochs": 0,
        "price_per_hour": request.price_per_hour,
        "parent_id": _parent_id(reader, request.parent),
    }
    insert_row(reader.connection, RUN, row)
    return opened


_RUNS_OF = Prepared(
    select(func.count()).select_from(RUN).where(RUN.c.experiment == bindparam("experiment"))
)
_NAMED = Prepared(select(RUN.c.id).where(RUN.c.name == bindparam("name")).limit(1))


def _numbered(connection: Connection, experiment: str) -> str:
    count = _RUNS_OF.first(connection, {"experiment": experiment})[0]
    while True:
        count += 1
        name = f"{experiment}-{count}"
        if _NAMED.first(connection, {"name": name}) is None:
            return name


def _parent_id(reader: Reader, parent: Run | str | None) -> str | None:
    if parent is None:
        return None
    if not isinstance(parent, Run):
        return find_run(reader, parent)
    if not parent.recording:
        return None
    if parent.writer.location == reader.location:
        return parent.id
    try:
        return find_run(reader, parent.id)
    except UnknownRun:
        raise BadValue(
            f"parent is {parent.name}, a run in {parent.writer.location}, but this run is to be in {reader.location}: "
            "leave database out, and it is in its parent's."
        ) from None


def _run_to_resume(reader: Reader, request: _Request) -> Any:
    """Return the row of the run that is to be resumed; None where one is to be started."""
    if request.resume is None:
        return None
    if request.resume == "auto":
        return _newest_unfinished(reader.connection, request.experiment, request.name)
    row = _named_run(reader, request.resume)
    refuse_busy(reader.connection, row.id, _WHEN_BUSY)
    return row


def _newest_unfinished(connection: Connection, experiment: str, name: str | None) -> Any:
    unfinished = select(RUN).where(RUN.c.experiment == experiment, RUN.c.status.in_(UNFINISHED))
    if name is not None:
        unfinished = unfinished.where(RUN.c.name == name)
    for row in connection.execute(unfinished.order_by(RUN.c.started.desc())).all():
        # Without a name a running one is another job of the same sweep, and alive.
        if row.status != RunStatus.RUNNING or name is not None:
            refuse_busy(connection, row.id, _WHEN_BUSY)
            return row
    return None


def _named_run(reader: Reader, text: str) -> Any:
    try:
        run_id = find_run(reader, text)
    except UnknownRun as error:
        raise NothingToResume(
            f'{error} To resume where possible and start a run otherwise: resume="auto".'
        ) from error
    return reader.connection.execute(select(RUN).where(RUN.c.id == run_id)).one()


def _resume(reader: Reader, row: Any, request: _Request) -> _Opened:
    newest = select(func.max(ATTEMPT.c.number)).where(ATTEMPT.c.run_id == row.id)
    last = reader.connection.execute(newest).scalar() or 0
    opened = _Opened(
        row.id,
        row.name,
        row.experiment,
        row.started,
        attempt=last + 1,
        first_epoch=earlier.next_epoch(reader, row.id),
        next_step=earlier.next_step(reader, row.id),
        ending={
            "status": row.status,
            "reason": row.reason,
            "error": row.error,
            "ended": row.ended,
        },
    )
    running: entries.Ending = {
        "status": RunStatus.RUNNING,
        "reason": None,
        "error": None,
        "ended": None,
    }
    price = row.price_per_hour if request.price_per_hour is None else request.price_per_hour
    reader.connection.execute(
        update(RUN).where(RUN.c.id == row.id).values(**running, price_per_hour=price)
    )
    return opened


def _add_attempt(connection: Connection, opened: _Opened, captured: str) -> None:
    moment = now()
    row = {
        "id": opened.attempt_id,
        "run_id": opened.run_id,
        "number": opened.attempt,
        "status": RunStatus.RUNNING,
        "started": moment,
        "heartbeat": moment,
        "captured": captured,
        "spooled": 0,
        "dropped": 0,
        "waited": 0.0,
        "heard": heard_now(connection),
        **process.me().as_dict(),
    }
    insert_row(connection, ATTEMPT, row)
    if opened.attempt == 1:
        facts.add(connection, opened.run_id, captured)
    else:
        facts.store(connection, opened.attempt_id)
