"""Files that users moved or made themselves: let the registry know them, or where they are now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, update

from tracker import values
from tracker.checkpointing import registry
from tracker.errors import CheckpointError
from tracker.files import SavedFile, absolute, is_same
from tracker.folders import inspect_path
from tracker.ids import new_id
from tracker.models import ATTEMPT, CHECKPOINT
from tracker.states import CheckpointState
from tracker.storage.database import Location
from tracker.storage.entries import checkpoint
from tracker.storage.journal import apply
from tracker.storage.prepare import writing


@dataclass(frozen=True)
class Adopted:
    """A file that the registry knows now.

    Attributes:
        path: the file.
        id, run: the checkpoint's, and its run's id.
        found: whether a run had saved these bytes, under another name; False for a new checkpoint.
    """

    path: Path
    id: str
    run: str
    found: bool


def adopt(
    location: Location, paths: Sequence[Path], run: str | None = None, **facts: Any
) -> list[Adopted]:
    """Register files; all of them or none.

    One whose bytes a run has saved, and whose recorded file is gone or changed, is that checkpoint, at
    its new place. Any other one becomes a checkpoint of ``run``.

    Args:
        location: the database.
        paths: the files.
        run: the id of a run.
        **facts: ``epoch``, ``step``, ``monitor`` and ``value`` of a new checkpoint.

    Raises:
        CheckpointError: for what is not a regular file, is registered already, or was saved by no run
            while ``run`` is None.
    """
    files = [_read(path) for path in paths]
    with writing(location) as connection:
        return [_adopt(connection, location, file, run, facts) for file in files]


def _read(path: Path) -> SavedFile:
    file = inspect_path(path)
    if file is None:
        raise CheckpointError(
            f"{path} is neither a regular file nor a folder of them: name what is there."
        )
    return file


def _adopt(
    connection: Connection,
    location: Location,
    file: SavedFile,
    run: str | None,
    facts: Mapping[str, Any],
) -> Adopted:
    stored_path = values.clean_text(location.relative(file.path))
    same = select(CHECKPOINT).where(
        CHECKPOINT.c.sha256 == file.sha256, CHECKPOINT.c.bytes == file.bytes
    )
    rows = list(connection.execute(same.order_by(CHECKPOINT.c.created.desc())))
    for row in rows:
        if row.path == stored_path and row.state == CheckpointState.AVAILABLE:
            raise CheckpointError(f"{file.path} is registered already, as checkpoint {row.id}.")
    for row in rows:
        if run in (None, row.run_id) and not _has_its_file(location, row):
            _move(connection, row.id, stored_path)
            return Adopted(file.path, row.id, row.run_id, found=True)
    if run is None:
        raise CheckpointError(
            f"No run has saved what {file.path} holds, and lost it: name the run that it belongs to with --run."
        )
    attempt = select(func.max(ATTEMPT.c.number)).where(ATTEMPT.c.run_id == run)
    made = registry.Checkpoint(
        id=new_id(), path=file.path, bytes=file.bytes, sha256=file.sha256, **facts
    )
    number = connection.execute(attempt).scalar_one()
    apply(connection, [checkpoint(registry.row(made, stored_path, run, number))])
    return Adopted(file.path, made.id, run, found=False)


def _has_its_file(location: Location, row: Any) -> bool:
    return is_same(inspect_path(location.absolute(row.path)), row)


def _move(connection: Connection, id: str, stored_path: str) -> None:
    """Record that a checkpoint is at a path; another one that was recorded there is pruned."""
    other = (CHECKPOINT.c.path == stored_path) & (CHECKPOINT.c.state == CheckpointState.AVAILABLE)
    connection.execute(update(CHECKPOINT).where(other).values(state=CheckpointState.PRUNED))
    here = {"path": stored_path, "state": CheckpointState.AVAILABLE, "pending": False}
    change = update(CHECKPOINT).where(CHECKPOINT.c.id == id)
    connection.execute(change.values(**here, original_path=None, kept=None))


@dataclass(frozen=True)
class Relocated:
    """Files at their new places, and why others were left: new path → why."""

    moved: list[Path]
    left: dict[Path, str]


def relocate(location: Location, old: Path, new: Path, *, dry_run: bool = False) -> Relocated:
    """Let the registry know that a file or folder was moved; each file is read, and no file is changed.

    Args:
        location: the database.
        old: the file or folder, where it was.
        new: where it is now.
        dry_run: only say what would be done.
    """
    moved: list[Path] = []
    left: dict[Path, str] = {}
    before, after = (absolute(path) for path in (old, new))
    with writing(location) as connection:
        for row in connection.execute(_with_path()).all():
            path = location.absolute(row.path)
            if path != before and not path.is_relative_to(before):
                continue
            target = after / path.relative_to(before)
            file = inspect_path(target)
            if file is None:
                left[target] = "it is not there"
            elif not is_same(file, row):
                left[target] = "it is not the file that was saved"
            else:
                moved.append(target)
                if not dry_run:
                    _move(connection, row.id, values.clean_text(location.relative(target)))
    return Relocated(moved, left)


def _with_path() -> Any:
    """Select the checkpoints that have, or should have, a file that users may move."""
    return (
        select(CHECKPOINT)
        .where(
            CHECKPOINT.c.state != CheckpointState.PRUNED,
            CHECKPOINT.c.pending.is_(False),
            CHECKPOINT.c.kept.is_(None),
        )
        .order_by(CHECKPOINT.c.created)
    )
