"""Start a run, or go on with one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from tracker import process, values
from tracker.clock import now
from tracker.errors import BadValue, NothingToResume, UnknownRun
from tracker.ids import new_id
from tracker.models import ATTEMPT, PARAM, RUN, TAG
from tracker.queries.resolve import find_run
from tracker.ranks import enabled
from tracker.recording import active
from tracker.recording import resume as earlier
from tracker.recording.capture import capture
from tracker.recording.null_recorder import Silence
from tracker.recording.recorder import Recorder
from tracker.recording.recovery import refuse_busy, settle
from tracker.recording.run import Run
from tracker.storage import entries
from tracker.storage.database import Database, Location, Reader, locate
from tracker.storage.prepare import prepare
from tracker.storage.upsert import upsert

DEFAULT_EXPERIMENT = "default"
UNFINISHED = ("running", "lost", "interrupted", "failed")
_WHEN_BUSY = "Wait for it, or start a run of its own."


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
) -> Run:
    """Start recording a training; a context manager, which ends the run with an honest status.

    Args:
        experiment: what groups runs; "default" by default.
        name: by default the experiment and a number, such as ``digits-3``.
        params: hyperparameters, see `Run.log_params`.
        tags: labels, see `Run.set_tags`.
        database: a path or URL; see `tracker.storage.location.locate`.
        resume: None starts a run; an id, unique id prefix or name goes on with that one; "auto" goes on
            with the newest unfinished run of the same experiment (and name, when given), or starts one.
        parent: the run (or its id) that this one belongs to, in a sweep.
        strict: raise what cannot be recorded, instead of keeping it for later.
        recording: False for a run that records nothing, and so silences the callbacks that join it;
            by default `tracker.enabled` decides.

    Raises:
        BadValue: for params without names, an empty name, or what else cannot be taken.
        NothingToResume, RunBusy: for ``resume``; the latter names host, pid and since when.
        StoreError: when the database cannot be used. After the start nothing is raised any more.
    """
    experiment = values.clean_text(str(experiment or DEFAULT_EXPERIMENT))
    name = None if name is None else values.clean_text(str(name))
    if name == "":
        raise BadValue("name is empty: leave it out for a numbered one.")
    if not (enabled() if recording is None else recording):
        silent = Run(
            id=new_id(),
            name=name or experiment,
            experiment=experiment,
            writer=Silence(strict=strict),
        )
        silent.log_params(params or {})  # what is refused is refused on every rank
        silent.set_tags(tags or {})
        active.enter(silent)
        return silent
    location = locate(database)
    prepare(location)
    captured = capture()
    opened = _open(location, experiment, name, params, tags, resume, parent, captured)
    recorder = Recorder(
        location,
        opened.id,
        opened.attempt_id,
        opened.attempt,
        next_step=opened.next_step,
        strict=strict,
    )
    run = Run(
        id=opened.id,
        name=opened.name,
        experiment=opened.experiment,
        attempt=opened.attempt,
        first_epoch=opened.first_epoch,
        writer=recorder,
        captured=captured,
        ending=opened.ending,
    )
    active.enter(run)
    return run


class _Opened:
    """What the opening transaction found or made."""

    id: str
    name: str
    experiment: str
    attempt_id: str
    attempt: int = 1
    first_epoch: int = 0
    next_step: int = 0
    ending: dict[str, Any] | None = None


def _open(
    location: Location,
    experiment: str,
    name: str | None,
    params: Mapping[str, Any] | None,
    tags: Mapping[str, Any] | Iterable[str] | None,
    resume: str | None,
    parent: Run | str | None,
    captured: dict[str, Any],
) -> _Opened:
    settle(location)
    database = Database(location, patience=10)
    try:
        with database.transaction(alone=True) as connection:
            found = _to_resume(connection, location, resume, experiment, name)
            opened = _resumed(connection, found) if found is not None else _Opened()
            if found is None:
                _create(connection, location, opened, experiment, name, parent)
            _add_attempt(connection, opened, values.to_json(captured))
            given = entries.params(opened.id, params or {})
            upsert(connection, PARAM, given, ("run_id", "name"), ("kind", "text", "number"))
            upsert(
                connection, TAG, entries.tags(opened.id, tags or {}), ("run_id", "name"), ("value",)
            )
    finally:
        database.close()
    return opened


def _create(
    connection: Connection,
    location: Location,
    opened: _Opened,
    experiment: str,
    name: str | None,
    parent: Run | str | None,
) -> None:
    opened.id = new_id()
    opened.experiment = experiment
    opened.name = name or _numbered(connection, experiment)
    connection.execute(
        insert(RUN).values(
            id=opened.id,
            name=opened.name,
            experiment=experiment,
            status="running",
            started=now(),
            seconds=0.0,
            epochs=0,
            parent_id=_parent_id(connection, location, parent),
        )
    )


def _numbered(connection: Connection, experiment: str) -> str:
    count = connection.execute(
        select(func.count()).select_from(RUN).where(RUN.c.experiment == experiment)
    ).scalar_one()
    while True:
        count += 1
        name = f"{experiment}-{count}"
        if connection.execute(select(RUN.c.id).where(RUN.c.name == name)).first() is None:
            return name


def _parent_id(connection: Connection, location: Location, parent: Run | str | None) -> str | None:
    if parent is None:
        return None
    if isinstance(parent, Run):
        return parent.id if parent.recording else None
    return find_run(Reader(location, connection), parent)


def _to_resume(
    connection: Connection,
    location: Location,
    resume: str | None,
    experiment: str,
    name: str | None,
) -> Any:
    if resume is None:
        return None
    if resume != "auto":
        run = _one_run(connection, location, resume)
        refuse_busy(connection, run.id, _WHEN_BUSY)
        return run
    wanted = select(RUN).where(RUN.c.experiment == experiment, RUN.c.status.in_(UNFINISHED))
    if name is not None:
        wanted = wanted.where(RUN.c.name == name)
    for run in connection.execute(wanted.order_by(RUN.c.started.desc())).all():
        if run.status == "running" and name is None:
            continue  # another job of the same sweep, alive
        refuse_busy(connection, run.id, _WHEN_BUSY)
        return run
    return None


def _one_run(connection: Connection, location: Location, text: str) -> Any:
    try:
        found = find_run(Reader(location, connection), text)
    except UnknownRun as error:
        raise NothingToResume(
            f'{error} To go on where that is possible, and start a run otherwise: resume="auto".'
        ) from error
    return connection.execute(select(RUN).where(RUN.c.id == found)).one()


def _resumed(connection: Connection, run: Any) -> _Opened:
    opened = _Opened()
    opened.id, opened.name, opened.experiment = run.id, run.name, run.experiment
    last = connection.execute(
        select(func.max(ATTEMPT.c.number)).where(ATTEMPT.c.run_id == run.id)
    ).scalar()
    opened.attempt = (last or 0) + 1
    opened.first_epoch = earlier.next_epoch(connection, run.id)
    opened.next_step = earlier.next_step(connection, run.id)
    again = {"status": "running", "reason": None, "error": None, "ended": None}
    opened.ending = {name: getattr(run, name) for name in again}
    connection.execute(update(RUN).where(RUN.c.id == run.id).values(**again))
    return opened


def _add_attempt(connection: Connection, opened: _Opened, captured: str) -> None:
    opened.attempt_id = new_id()
    moment = now()
    connection.execute(
        insert(ATTEMPT).values(
            id=opened.attempt_id,
            run_id=opened.id,
            number=opened.attempt,
            status="running",
            started=moment,
            heartbeat=moment,
            captured=captured,
            spooled=0,
            dropped=0,
            waited=0.0,
            **process.me().as_dict(),
        )
    )
