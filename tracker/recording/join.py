"""Whose run it is: a training loop gets the run of its context, or a run of its own."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Unpack, cast

from tracker.errors import UsageError
from tracker.recording.active import (
    Claim,
    Owner,
    claim,
    claim_free,
    close_left_trainings,
    holder,
    runs_here,
)
from tracker.recording.run import Run
from tracker.recording.start import RunOptions, StartOptions, check_monitor, start_run
from tracker.redact import redact
from tracker.storage import entries
from tracker.storage.database import locate
from tracker.values import clean_text

_told: set[str] = set()
"""The databases that this process has said it records into."""


def active_run() -> Run | None:
    """Return the innermost run of this context (thread or task) that has not finished; None without one.

    One that records nothing counts as well: callbacks join it, and are silent with it.
    """
    return cast("Run | None", next(runs_here(), None))


def claim_run(
    owner: Owner,
    who: str,
    *,
    run: Run | None = None,
    experiment: str | None = None,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | Iterable[str] | None = None,
    database: str | os.PathLike[str] | None = None,
    resume: str | None = None,
    parent: Run | str | None = None,
    strict: bool = False,
    recording: bool | None = None,
    start: Callable[..., Run] | None = None,
    defaults: Mapping[str, Any] | None = None,
    verbose: int = 0,
    **options: Unpack[StartOptions],
) -> Claim[Run]:
    """Give a training loop its run, and keep other loops out of it until `Claim.release`.

    That is ``run``, where it is given; else the innermost run of this context that no other training
    records into; else a run of its own, a child of the enclosing one. Trainings of this context that
    were left without an end are closed first. A second training of one run, after the first has
    released it, is its next phase.

    Args:
        owner: the training; held weakly.
        who: its class name, for messages.
        run: the run to record into.
        experiment, name, params, tags, database, resume, parent, strict: as for `tracker.start_run`; a run
            that is joined takes ``params`` and ``tags``, and what else comes too late is in `Claim.notes`.
        start: what starts a run where none is active, called with ``recording``; by default it is
            `tracker.start_run`, with the arguments above.
        defaults: what a run of its own is started with where these arguments leave it out; a run that is joined
            keeps what it has.
        recording: False for a training loop that records nothing, on another rank: it joins silent runs only, and
            makes the enclosing run one if nothing was recorded there.
        verbose: 1 says on standard error where it records, once per database and process.
        **options: likewise for `tracker.start_run`; a run that is joined takes ``monitor`` and ``mode``.

    Raises:
        UsageError: another training records into ``run``, or ``resume`` names another run than the one
            to join. Nothing has been written then.
    """
    arguments: dict[str, Any] = {
        "experiment": experiment, "name": name, "params": params, "tags": tags,
        "database": database, "resume": resume, "strict": strict, **options,
    }  # fmt: skip
    close_left_trainings(*(() if run is None else (run,)))
    claimed = (
        _claim_context(owner, who, arguments, defaults or {}, parent, recording, start)
        if run is None
        else _claim_given(owner, who, arguments, run)
    )
    if verbose:
        _tell_where(claimed.run)
    return claimed


def _claim_given(owner: Owner, who: str, arguments: Mapping[str, Any], run: Run) -> Claim[Run]:
    held = claim_free(run, owner)
    if held is None:
        raise UsageError(
            f"run {run.name} already belongs to another training: two would mix their epochs. "
            f"End the first (leave its `with`, or call close()), or leave out run= for a run of "
            f"its own."
        )
    return _joined(held, who, arguments)


def _claim_context(
    owner: Owner,
    who: str,
    arguments: Mapping[str, Any],
    defaults: Mapping[str, Any],
    parent: Run | str | None,
    recording: bool | None,
    start: Callable[..., Run] | None,
) -> Claim[Run]:
    """Claim the run of this context, or one that is started."""
    enclosing, database = active_run(), arguments["database"]
    if recording is False and enclosing is not None and holder(enclosing) is None:
        enclosing.discard()
    may_join = enclosing is not None and not (recording is False and enclosing.recording)
    if enclosing is not None and may_join and (held := claim_free(enclosing, owner)) is not None:
        return _joined(held, who, arguments)
    if enclosing is not None and may_join:
        if parent is None and not (database is not None and _is_elsewhere(enclosing, database)):
            parent = enclosing
        recording = recording if enclosing.recording else False
    if enclosing is None and start is not None:
        made = start(recording=recording)
    else:
        given = {name: value for name, value in arguments.items() if value is not None}
        made = start_run(**{**defaults, **given}, parent=parent, recording=recording)
    return claim(made, owner, started=True)


def _tell_where(run: Run) -> None:
    where = str(run.writer.location)
    if not run.recording or where in _told or sys.stderr is None:
        return
    _told.add(where)
    text = f"local-tracker: run {run.name} is recorded in {where}: tracker runs show {shlex.quote(run.name)}"
    # A terminal that was hung up, a pipe without a reader, a closed stream.
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr)


def _joined(held: Claim[Run], who: str, start: Mapping[str, Any]) -> Claim[Run]:
    """Add what a training was given to the run that it has claimed; one that is refused gives it back."""
    try:
        held.notes += join_run(held.run, who, **start)
    except BaseException:
        held.release()
        raise
    return held


def join_run(
    run: Run,
    who: str,
    experiment: str | None = None,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | Iterable[str] | None = None,
    database: str | os.PathLike[str] | None = None,
    resume: str | None = None,
    *,
    strict: bool = False,
    monitor: str | None = None,
    mode: str | None = None,
    **options: Unpack[RunOptions],
) -> list[str]:
    """Add ``params``, ``tags`` and ``monitor`` to a run that is active; what else starts one comes too late.

    Args:
        run: the active run.
        who: whose arguments these are: a class name, for the messages.
        experiment, name, params, tags, database, resume, strict, monitor, mode, **options: as for
            `tracker.start_run`.

    Returns:
        A sentence for each argument that is not used, to warn with; none where the run has it already.

    Raises:
        UsageError: for ``resume`` of another run: what would have continued there must not go into this one.
        BadValue: for params or tags that cannot be kept. Nothing has been written then.
    """
    if resume is not None and not _continues(run, resume):
        raise UsageError(
            f"{who}(resume={resume!r}) comes too late: run {run.name} is active already. "
            f"Give resume to the tracker.start_run that started it, or leave it out."
        )
    late: dict[str, Any] = {}
    if experiment and clean_text(str(experiment)) != run.experiment:
        late["experiment"] = experiment
    if name is not None and clean_text(str(name)) != run.name:
        late["name"] = name
    if database is not None and _is_elsewhere(run, database):
        late["database"] = os.fspath(database)
    if strict and not run.strict:
        late["strict"] = strict
    late |= {key: value for key, value in options.items() if value is not None}
    # All is checked before anything is written: a refused join has written nothing.
    run.check_open()
    check_monitor(monitor, mode)
    tags_entry = entries.tags(run.id, tags) if tags else None
    if params:
        run.log_params(params)
    if tags_entry is not None:
        run.writer.record(tags_entry)
    if monitor is not None:
        run.define_metric(monitor, mode, monitor=True)
    return [
        f"{who}({key}={redact(repr(value))}) is not used: run {run.name} is active already. "
        f"Give {key} to the tracker.start_run that started it, or leave it out."
        for key, value in late.items()
    ]


def _continues(run: Run, resume: str) -> bool:
    """Say whether ``resume`` names the run that is active; a silent one stands for any."""
    return (
        not run.recording or resume in (run.id, run.name) or (resume == "auto" and run.was_resumed)
    )


def _is_elsewhere(run: Run, database: str | os.PathLike[str]) -> bool:
    location = run.writer.location
    return location is not None and locate(database) != location
