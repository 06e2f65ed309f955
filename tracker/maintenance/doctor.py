"""What is wrong with a database and the files that belong to it, and what can be mended.

Looking never writes. Mending imports what processes that are gone could not write, settles their
checkpoints, removes their temporary files, and makes summaries anew; it never deletes a record.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select

from tracker import files
from tracker.errors import StoreError, counted
from tracker.models import ATTEMPT, CHECKPOINT, EPOCH, METRIC, RUN, SUMMARY
from tracker.process import is_alive
from tracker.queries import checkpoints
from tracker.queries.pending import waiting
from tracker.queries.points import points, runs_with_points
from tracker.queries.status import dead_runs
from tracker.recording.recovery import settle, temporary_folders
from tracker.storage.database import Location, Reader, reading, writing
from tracker.storage.summaries import summarize

_MOST = 20  # lines of integrity_check that are read


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what is wrong with it (None: nothing), what helps, what else to know."""

    subject: str
    problem: str | None = None
    remedy: str = "tracker db doctor --fix"
    note: str | None = None


def examine(location: Location) -> list[Finding]:
    """Look at everything; the result says of each subject whether it is in order."""
    broken = structure(location)
    if broken is not None:
        return [Finding("structure", broken, "tracker db doctor --salvage NEW.db")]
    found = [Finding("structure")]
    with reading(location) as reader:
        if reader.empty:
            return found
        connection = reader.connection
        found.append(_said("runs", _lost(connection)))
        found.append(_waiting(reader))
        found.append(_said("checkpoints", _pending(connection)))
        found.append(
            Finding("files", _files(reader), "tracker checkpoints verify records what they are")
        )
        found.append(_temporary(reader))
        wrong = runs_with_wrong_summaries(connection)
        found.append(_said("summaries", _differ(len(wrong))))
        found.append(Finding("step metrics", _series(reader), "their other blocks can be read"))
    return found


def mend(location: Location) -> None:
    """Do what can be done without losing anything; call it when `structure` has nothing to say."""
    settle(location)
    with reading(location) as reader:
        if reader.empty:
            return
        wrong = runs_with_wrong_summaries(reader.connection)
        folders = temporary_folders(reader.connection, location)
    for folder in folders:
        files.sweep(folder)
    if wrong:
        with writing(location) as connection:
            for run in wrong:
                summarize(connection, run)


def structure(location: Location) -> str | None:
    """Say what is wrong with the file itself; None for a server, which looks after its own."""
    if location.path is None or not location.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{location.path.as_uri()}?mode=ro", uri=True)) as connection:
            said = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST})")]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.Error as error:
        return str(error)
    if said != ["ok"]:
        return "; ".join(said[:3])
    return f"{len(orphans)} rows have lost what they belong to" if orphans else None


def runs_with_wrong_summaries(connection: Connection) -> list[str]:
    """Return the runs whose summaries are not what their effective epochs say."""
    statement = (
        select(
            EPOCH.c.run_id, METRIC.c.name, func.min(METRIC.c.value), func.max(METRIC.c.value),
            func.max(EPOCH.c.epoch),
        )
        .join_from(METRIC, EPOCH, METRIC.c.epoch_id == EPOCH.c.id)
        .where(EPOCH.c.superseded.is_(False))
        .group_by(EPOCH.c.run_id, METRIC.c.name)
    )  # fmt: skip
    true = {(run, name): rest for run, name, *rest in connection.execute(statement)}
    columns = SUMMARY.c
    kept = select(columns.run_id, columns.name, columns.min, columns.max, columns.last_epoch)
    said = {(run, name): rest for run, name, *rest in connection.execute(kept)}
    return sorted(
        {
            run
            for run, name in true.keys() | said.keys()
            if true.get((run, name)) != said.get((run, name))
        }
    )


def _differ(count: int) -> str | None:
    if count == 0:
        return None
    return (
        "1 run differs from its epochs" if count == 1 else f"{count} runs differ from their epochs"
    )


def _said(subject: str, problem: str | None) -> Finding:
    return Finding(subject, problem)


def _lost(connection: Connection) -> str | None:
    dead = dead_runs(connection)
    called = (
        "1 is called running, but its"
        if len(dead) == 1
        else f"{len(dead)} are called running, but their"
    )
    return f"{called} process is gone" if dead else None


def _waiting(reader: Reader) -> Finding:
    """Records whose writer lives are imported by it; what others left is for us."""
    there = waiting(reader)
    left = [one for one in there if not one.alive]
    name, folder = "waiting records", there[0].path.parent if there else None
    if left:
        said = counted(sum(one.records for one in left), "record")
        files_ = counted(len(left), "file")
        return Finding(name, f"{said} in {files_} of {folder} not imported yet")
    count = sum(one.records for one in there)
    them = "it imports it" if count == 1 else "it imports them"
    said = f"{counted(count, 'record')} in {folder}, whose process lives: {them} by itself"
    return Finding(name, note=said if there else None)


def _pending(connection: Connection) -> str | None:
    statement = (
        select(CHECKPOINT.c.path, ATTEMPT)
        .join_from(
            CHECKPOINT,
            ATTEMPT,
            (CHECKPOINT.c.run_id == ATTEMPT.c.run_id) & (CHECKPOINT.c.attempt == ATTEMPT.c.number),
        )
        .where(CHECKPOINT.c.pending.is_(True))
    )
    left = [
        one
        for one in connection.execute(statement)
        if not (one.status == "running" and is_alive(one))
    ]
    were = "1 was" if len(left) == 1 else f"{len(left)} were"
    return f"{were} being saved or deleted when the process ended" if left else None


def _files(reader: Reader) -> str | None:
    wrong = []
    for row in checkpoints(reader, states=["available"]).dicts():
        try:
            same = Path(row["file"]).stat().st_size == row["bytes"]
        except OSError:
            same = False
        if not same:
            wrong.append(row["path"])
    if not wrong:
        return None
    are = "1 is" if len(wrong) == 1 else f"{len(wrong)} are"
    return f"{are} missing or of another size, such as {wrong[0]}"


def _temporary(reader: Reader) -> Finding:
    """Other hosts' files may be in use: they are named, and nothing is said against them."""
    name, gone, elsewhere = "temporary files", [], []
    for folder in sorted(temporary_folders(reader.connection, reader.location)):
        ours, others = files.leftovers(folder)
        gone += ours
        elsewhere += others
    if gone:
        return Finding(name, f"{len(gone)} of processes that are gone, such as {gone[0]}")
    if elsewhere:
        said = f"{len(elsewhere)} of other machines or containers, such as {elsewhere[0]}"
        return Finding(name, note=said)
    return Finding(name)


def _series(reader: Reader) -> str | None:
    damaged = []
    for run in runs_with_points(reader, None):
        try:
            points(reader, [run])
        except StoreError as error:
            damaged.append((run, str(error).partition(" Look at")[0]))
    if not damaged:
        return None
    name = reader.connection.execute(select(RUN.c.name).where(RUN.c.id == damaged[0][0])).scalar()
    have = "1 run has" if len(damaged) == 1 else f"{len(damaged)} runs have"
    return f"{have} blocks that cannot be read, such as {name}: {damaged[0][1]}"
