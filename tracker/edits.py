"""Changes to runs after the fact: tags, notes, names, deletion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, select, update
from sqlalchemy import delete as delete_from

from tracker import registry
from tracker.clock import shown
from tracker.database import Location, writing
from tracker.errors import BadValue, RunBusy
from tracker.journal import apply
from tracker.process import is_alive
from tracker.redact import redact
from tracker.rows import tags as tag_rows
from tracker.spool import spool_path
from tracker.tables import ATTEMPT, CHECKPOINT, DECISION, POLICY, RUN, TAG
from tracker.values import clean_text


@dataclass(frozen=True)
class Deleted:
    """Files that were deleted with their runs, and those that were kept: path → why."""

    files: list[Path] = field(default_factory=list)
    kept: dict[Path, str] = field(default_factory=dict)


def tag(location: Location, run: str, given: Mapping[str, str], removed: Iterable[str]) -> None:
    """Set tags of a run, and take others away."""
    with writing(location) as connection:
        for name in removed:
            gone = delete_from(TAG).where(TAG.c.run_id == run, TAG.c.name == clean_text(name))
            connection.execute(gone)
        apply(connection, [{"kind": "tags", "rows": tag_rows(run, given)}])


def note(location: Location, run: str, text: str | None) -> None:
    """Write a run's note; None takes it away."""
    kept = None if text is None else clean_text(redact(text))
    with writing(location) as connection:
        connection.execute(update(RUN).where(RUN.c.id == run).values(note=kept))


def rename(location: Location, run: str, name: str) -> None:
    """Give a run another name; several runs may have one name.

    Raises:
        BadValue: for an empty name.
    """
    if not name.strip():
        raise BadValue("The name is empty: give one that can be typed.")
    with writing(location) as connection:
        connection.execute(update(RUN).where(RUN.c.id == run).values(name=clean_text(name)))


def delete(location: Location, runs: Sequence[str], *, files: bool = False) -> Deleted:
    """Delete runs and everything recorded of them.

    Args:
        location: the database.
        runs: their ids.
        files: also their checkpoints' files: those that are available, unchanged and not pinned.

    Raises:
        RunBusy: when one of them is being recorded; nothing is deleted then.
    """
    gone = Deleted()
    with writing(location) as connection:
        for run in runs:
            _refuse_busy(connection, run)
        doomed = _files(connection, location, runs, gone) if files else []
        _mark(connection, doomed)
    for one in doomed:
        one.path.unlink(missing_ok=True)
        gone.files.append(one.path)
    with writing(location) as connection:
        attempts = [one for run in runs for one in _delete(connection, run)]
    for attempt in attempts:
        spool_path(location, attempt).unlink(missing_ok=True)
    return gone


def _refuse_busy(connection: Connection, run: str) -> None:
    running = select(ATTEMPT).where(ATTEMPT.c.run_id == run, ATTEMPT.c.status == "running")
    for attempt in connection.execute(running):
        if is_alive(attempt):
            raise RunBusy(
                f"The run {run} is being recorded by process {attempt.pid} on {attempt.host} since "
                f"{shown(attempt.started)}: stop it first. Nothing was deleted."
            )


def _files(
    connection: Connection, location: Location, runs: Sequence[str], gone: Deleted
) -> list[registry.Checkpoint]:
    doomed = []
    for one in (found for run in runs for found in registry.of_run(connection, location, run)):
        state = registry.check(one)
        if one.pinned:
            gone.kept[one.path] = "it is pinned"
        elif state == "available":
            doomed.append(one)
        elif state == "modified":
            gone.kept[one.path] = "it is not the file that was recorded"
    return doomed


def _mark(connection: Connection, doomed: list[registry.Checkpoint]) -> None:
    """Take the state "available" away before the files go: a kill leaves no row without its file."""
    ids = [one.id for one in doomed]
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        entry = {"kind": "checkpoint_state", "ids": some, "state": "pruned", "pending": True}
        apply(connection, [entry])


def _delete(connection: Connection, run: str) -> list[str]:
    attempts = select(ATTEMPT.c.id).where(ATTEMPT.c.run_id == run)
    found = [str(one) for one in connection.execute(attempts).scalars()]
    connection.execute(update(RUN).where(RUN.c.parent_id == run).values(parent_id=None))
    for table in (DECISION, CHECKPOINT, POLICY):  # these point at one another; the rest cascades
        connection.execute(delete_from(table).where(table.c.run_id == run))
    connection.execute(delete_from(RUN).where(RUN.c.id == run))
    return found
