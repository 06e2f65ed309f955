"""Checkpoints that are there already are copied to a remote folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracker.checkpointing import transfer
from tracker.checkpointing.copies import copies_of
from tracker.errors import TrackerError
from tracker.maintenance.checkpoints import recorded_file
from tracker.queries.checkpoints import checkpoints
from tracker.remote import RemotePath, checked_url, remote_path
from tracker.states import CheckpointState
from tracker.storage.database import Location, reading

JOBS = 4
"""How many files are sent at the same time, unless it is said."""


@dataclass(frozen=True)
class Planned:
    """A checkpoint that is to be copied: its row as a dict, its run's id, and where it goes."""

    checkpoint: dict[str, Any]
    run_id: str
    url: str


@dataclass(frozen=True)
class Uploading:
    """What a remote folder lacks.

    Attributes:
        folder: the remote folder.
        going: what is to be copied, oldest first.
        there: how many available checkpoints have their copy already.
    """

    folder: RemotePath
    going: list[Planned]
    there: int


def plan(location: Location, runs: Sequence[str], url: str) -> Uploading:
    """Return which available checkpoints of some runs have no whole copy in a remote folder.

    Raises:
        BadValue, UsageError, CheckpointError: as `tracker.remote.checked_url` and `remote_path`.
    """
    folder = remote_path(checked_url(url))
    with reading(location) as reader:
        listing = checkpoints(reader, runs, states=[CheckpointState.AVAILABLE])
        copies = {} if reader.empty else copies_of(reader.connection, runs)
    whole = {
        (copy.checkpoint_id, copy.url)
        for of_one in copies.values()
        for copy in of_one
        if copy.state == CheckpointState.AVAILABLE
    }
    planned = [
        Planned(row, run, transfer.place_of(folder, run, Path(row["path"]).name, row["sha256"]).url)
        for row, run in zip(listing.dicts(), listing.runs or (), strict=True)
    ]
    going = [one for one in planned if (one.checkpoint["id"], one.url) not in whole]
    return Uploading(folder, going, len(planned) - len(going))


def upload(
    location: Location, planned: Uploading, jobs: int | None = None
) -> Iterator[tuple[Planned, str | None]]:
    """Copy what was planned, and record each copy when it has been read back.

    Yields:
        Each checkpoint in turn, and why it was not copied; None where it was.
    """

    def copy(one: Planned) -> str | None:
        row = one.checkpoint
        file, name = recorded_file(row), Path(row["path"]).name
        try:
            transfer.make(location, planned.folder, one.run_id, row["id"], file, name)
        except TrackerError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(jobs or JOBS) as pool:
        yield from zip(planned.going, pool.map(copy, planned.going), strict=True)
