"""Copies of checkpoints in remote folders are made, checked and fetched."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tracker.checkpointing.copies import Copy, record
from tracker.errors import CheckpointError, TrackerError
from tracker.files import SavedFile, discard, is_same, path_part
from tracker.remote import RemotePath, fetch, inspect_remote, remote_path, upload
from tracker.states import CheckpointState
from tracker.storage.location import Location
from tracker.storage.prepare import writing

_DIGITS = 16


def place_of(folder: RemotePath, run_id: str, name: str, sha256: str) -> RemotePath:
    """Return where a copy goes: by run and content, so that nothing else is ever written there."""
    return folder.below(run_id).below(sha256[:_DIGITS]).below(path_part(name))


def make(
    location: Location,
    folder: RemotePath,
    run_id: str,
    checkpoint_id: str,
    file: SavedFile,
    name: str,
) -> str:
    """Copy a checkpoint into a remote folder, read the copy back, and record it; returns its URL.

    Raises:
        CheckpointError: it could not be copied, or the database does not have the checkpoint yet.
        StoreError: the copy is there, and could not be recorded: a second call does only that.
    """
    place = place_of(folder, run_id, name, file.sha256)
    upload(file, place)
    with writing(location) as connection:
        record(connection, checkpoint_id, place.url, file)
    return place.url


def check(copy: Copy) -> CheckpointState:
    """Read a copy, and return the state that it is in.

    Raises:
        CheckpointError: it cannot be read now, which says nothing about its state.
    """
    there = inspect_remote(remote_path(copy.url))
    if there is None:
        return CheckpointState.MISSING
    return CheckpointState.AVAILABLE if is_same(there, copy) else CheckpointState.MODIFIED


def fetch_one(copies: Sequence[Copy], target: Path) -> str:
    """Copy the first of some copies that is whole to ``target``, which must not exist; returns its URL.

    Raises:
        CheckpointError: none of them is whole, with what is wrong with each.
    """
    wrong = []
    for copy in copies:
        try:
            with _emptied(target):
                fetch(remote_path(copy.url), target, copy)
            return copy.url
        except TrackerError as error:
            # Also where a package is missing for this one: the next may lie elsewhere.
            wrong.append(str(error))
    raise CheckpointError(" ".join(wrong) or "There is no copy.")


@contextmanager
def _emptied(target: Path) -> Iterator[None]:
    """Leave nothing at a path when the block raises."""
    try:
        yield
    except BaseException:
        discard(target)
        raise


@contextmanager
def fetched(copies: Sequence[Copy], name: str) -> Iterator[tuple[Path, str]]:
    """Give a copy as a file or folder of that name, for as long as the block takes, and the URL it came from.

    It lies where temporary files do (``TMPDIR``), in a folder for this user alone.

    Raises:
        CheckpointError: as `fetch_one`.
    """
    with TemporaryDirectory(prefix="tracker-") as folder:
        path = Path(folder, os.path.basename(name))  # noqa: PTH119 - whatever the name is, it stays within
        yield path, fetch_one(copies, path)
