"""The rows of copies of checkpoints in remote folders.

One is written when its copy has been read back, and never before: it names an object with that hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select, update

from tracker.clock import now
from tracker.errors import CheckpointError
from tracker.files import SavedFile
from tracker.models import CHECKPOINT, REMOTE_COPY
from tracker.states import CheckpointState
from tracker.storage.chunks import in_chunks
from tracker.storage.statements import upsert


class Copy(NamedTuple):
    """A copy of a checkpoint, in the state that it had when it was last read."""

    checkpoint_id: str
    url: str
    bytes: int
    sha256: str
    state: str


def record(connection: Connection, checkpoint_id: str, url: str, file: SavedFile) -> None:
    """Record a copy that has been read back.

    Raises:
        CheckpointError: the database does not have the checkpoint yet.
    """
    known = select(CHECKPOINT.c.id).where(
        CHECKPOINT.c.id == checkpoint_id, CHECKPOINT.c.sha256 == file.sha256
    )
    if connection.execute(known).first() is None:
        raise CheckpointError(
            f"The copy {url} is there, but the database does not have checkpoint {checkpoint_id} yet."
        )
    moment = now()
    row = {
        "checkpoint_id": checkpoint_id,
        "url": url,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "state": CheckpointState.AVAILABLE,
        "uploaded": moment,
        "verified": moment,
    }
    changed = ("bytes", "sha256", "state", "uploaded", "verified")
    upsert(connection, REMOTE_COPY, [row], ("checkpoint_id", "url"), changed)


def copies_of(connection: Connection, runs: Sequence[str] | None) -> dict[str, list[Copy]]:
    """Return the copies of the checkpoints of some runs, or of all: by checkpoint, the last verified first."""
    found: dict[str, list[Copy]] = {}
    for row in in_chunks(connection, _copies(), CHECKPOINT.c.run_id, runs):
        found.setdefault(row.checkpoint_id, []).append(Copy(*row))
    return found


def copies_of_one(connection: Connection, checkpoint_id: str) -> list[Copy]:
    """Return the copies of a checkpoint, the last verified first."""
    statement = _copies().where(REMOTE_COPY.c.checkpoint_id == checkpoint_id)
    return [Copy(*row) for row in connection.execute(statement)]


def _copies() -> Select[Any]:
    columns = (REMOTE_COPY.c[name] for name in Copy._fields)
    return (
        select(*columns)
        .join_from(REMOTE_COPY, CHECKPOINT, REMOTE_COPY.c.checkpoint_id == CHECKPOINT.c.id)
        .order_by(REMOTE_COPY.c.verified.desc(), REMOTE_COPY.c.url)
    )


def note_states(connection: Connection, states: dict[Copy, CheckpointState]) -> None:
    """Record what copies were when they were read now."""
    moment = now()
    for copy, state in states.items():
        connection.execute(
            update(REMOTE_COPY)
            .where(REMOTE_COPY.c.checkpoint_id == copy.checkpoint_id, REMOTE_COPY.c.url == copy.url)
            .values(state=state, verified=moment)
        )
