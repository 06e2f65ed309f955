"""Changes to runs after the fact: tags, notes, names, deletion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select, update
from sqlalchemy import delete as delete_from

from tracker.checkpointing import registry, store
from tracker.errors import BadValue, counted
from tracker.maintenance.checkpoints import committing
from tracker.models import RUN, TAG
from tracker.recording.recovery import refuse_busy
from tracker.redact import redact
from tracker.states import CheckpointState
from tracker.storage import entries, run_rows
from tracker.storage.chunks import in_parts
from tracker.storage.database import Location
from tracker.storage.journal import apply
from tracker.storage.prepare import writing
from tracker.storage.spool import spool_path
from tracker.values import clean_text, name_text


@dataclass(frozen=True)
class Deleted:
    """Files that were deleted with their runs, and those that were kept: path → why."""

    files: list[Path]
    kept: dict[Path, str]


def tag(
    location: Location, runs: Sequence[str], given: Mapping[str, str], removed: Iterable[str]
) -> None:
    """Set tags of runs, and remove others; of all of them or of none."""
    names = list(map(clean_text, removed))
    with writing(location) as connection:
        for some in in_parts(runs):
            for name in names:
                gone = delete_from(TAG).where(TAG.c.run_id.in_(some), TAG.c.name == name)
                connection.execute(gone)
        apply(connection, [entries.tags(run, given) for run in runs])


def note(location: Location, runs: Sequence[str], text: str | None) -> None:
    """Write the note of runs; None removes it."""
    kept = None if text is None else clean_text(redact(text))
    with writing(location) as connection:
        for some in in_parts(runs):
            connection.execute(update(RUN).where(RUN.c.id.in_(some)).values(note=kept))


def rename(location: Location, run: str, name: str) -> int:
    """Give a run another name; several runs may have one name: returns how many others have it.

    Raises:
        BadValue: for an empty name.
    """
    if not name.strip():
        raise BadValue("The name is empty: give one that can be typed.")
    name = name_text(name, "The name")
    with writing(location) as connection:
        connection.execute(update(RUN).where(RUN.c.id == run).values(name=name))
        others = select(func.count()).where(RUN.c.name == name, RUN.c.id != run)
        return int(connection.execute(others).scalar_one())


def delete(location: Location, runs: Sequence[str], *, files: bool = False) -> Deleted:
    """Delete runs and everything recorded of them.

    Args:
        location: the database.
        runs: their ids.
        files: also their checkpoints' files: those that are available, unchanged and not pinned. Those in
            the store go in any case.

    Raises:
        RunBusy: when one of them is being recorded; nothing is deleted then. When one is resumed
            while files are being deleted, the records stay.
    """
    with writing(location) as connection:
        for run in runs:
            refuse_busy(connection, run, _advice([]))
        deletable, kept = _deletable(connection, location, runs, stored_only=not files)
        apply(connection, [registry.condemned(one.checkpoint for one in deletable)])
    gone, refused = registry.delete_files(deletable, committing(location))
    deleted = [one.path for one in gone]
    kept |= {one.path: refused[one.id] for one, _ in deletable if one.id in refused}
    with writing(location) as connection:
        for run in runs:
            refuse_busy(connection, run, _advice(deleted))
        attempts = [one for run in runs for one in run_rows.delete(connection, run)]
    for attempt in attempts:
        spool_path(location, attempt).unlink(missing_ok=True)
    return Deleted(deleted, kept)


def _advice(files: list[Path]) -> str:
    """Say what to do where a run is being recorded; where it was resumed in the meantime, files were deleted."""
    if not files:
        return "Stop it first. Nothing was deleted."
    was = "was" if len(files) == 1 else "were"
    return f"Stop it first. {counted(len(files), 'file')} {was} deleted, but no record."


def _deletable(
    connection: Connection,
    location: Location,
    runs: Sequence[str],
    *,
    stored_only: bool,
) -> tuple[list[registry.Deletable], dict[Path, str]]:
    """Return the checkpoints whose files may be deleted, and why others are kept."""
    deletable: list[registry.Deletable] = []
    kept: dict[Path, str] = {}
    for run in runs:
        for checkpoint in registry.of_run(connection, location, run):
            is_stored = store.is_stored(location, checkpoint.path)
            if stored_only and not is_stored:
                continue
            state, file = registry.inspect(checkpoint)
            if checkpoint.pinned and not is_stored:
                kept[checkpoint.path] = "it is pinned"
            elif state == CheckpointState.AVAILABLE:
                deletable.append(registry.Deletable(checkpoint, file))
            elif state == CheckpointState.MODIFIED and not is_stored:
                kept[checkpoint.path] = "it is not the file that was recorded"
    return deletable, kept
