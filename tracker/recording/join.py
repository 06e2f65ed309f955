"""A run that somebody else started, handed the arguments that were to start one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from tracker.errors import UsageError
from tracker.recording.run import Run
from tracker.redact import redact
from tracker.storage.database import locate
from tracker.values import clean_text


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
) -> list[str]:
    """Add ``params`` and ``tags`` to a run that is active; what else starts one comes too late.

    Args:
        run: the active run.
        who: whose arguments these are: a class name, for the sentences.
        experiment, name, params, tags, database, resume, strict: as for `tracker.start_run`.

    Returns:
        A sentence for each argument that is not used, to warn with; none where the run has it already.

    Raises:
        UsageError: for ``resume`` of another run: what would have gone on there must not go into this one.
    """
    if resume is not None and not _goes_on(run, resume):
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
    if params:
        run.log_params(params)
    if tags:
        run.set_tags(tags)
    return [
        f"{who}({key}={redact(repr(value))}) is not used: run {run.name} is active already. "
        f"Give {key} to the tracker.start_run that started it, or leave it out."
        for key, value in late.items()
    ]


def _goes_on(run: Run, resume: str) -> bool:
    return resume in (run.id, run.name) or (resume == "auto" and run.attempt > 1)


def _is_elsewhere(run: Run, database: str | os.PathLike[str]) -> bool:
    location = run.writer.location
    return location is not None and locate(database) != location
