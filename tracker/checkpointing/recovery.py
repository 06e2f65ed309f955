"""Finish what killed processes left pending, by what the files say."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, or_, select, update

from tracker.checkpointing.signature_file import remove_signature
from tracker.files import SavedFile, is_same
from tracker.folders import inspect_path
from tracker.models import ATTEMPT, CHECKPOINT
from tracker.removal import remove, sweep
from tracker.states import CheckpointState
from tracker.storage.entries import checkpoint_state
from tracker.storage.journal import apply
from tracker.storage.liveness import is_live
from tracker.storage.location import Location

PENDING_CHECKPOINTS = (
    select(CHECKPOINT, ATTEMPT)
    .join_from(
        CHECKPOINT,
        ATTEMPT,
        (CHECKPOINT.c.run_id == ATTEMPT.c.run_id) & (CHECKPOINT.c.attempt == ATTEMPT.c.number),
    )
    .where(CHECKPOINT.c.pending.is_(True))
    .with_only_columns(
        CHECKPOINT.c.id, CHECKPOINT.c.path, CHECKPOINT.c.bytes, CHECKPOINT.c.sha256, CHECKPOINT.c.state,
        ATTEMPT.c.status, ATTEMPT.c.host, ATTEMPT.c.boot_id, ATTEMPT.c.pid_namespace,
        ATTEMPT.c.pid, ATTEMPT.c.process_started, ATTEMPT.c.heartbeat, ATTEMPT.c.heard,
    )
)  # fmt: skip
"""The pending checkpoints, each with the columns of its attempt that `is_live` reads."""


def abandoned_checkpoints(connection: Connection, location: Location) -> dict[str, list[Any]]:
    """Return the pending checkpoints that no attempt will finish itself, by stored path.

    Those whose files may lie on another machine are left out: nobody can look at them from here.
    """
    by_path: dict[str, list[Any]] = {}
    for checkpoint in connection.execute(PENDING_CHECKPOINTS):
        by_path.setdefault(checkpoint.path, []).append(checkpoint)
    return {
        path: checkpoints
        for path, checkpoints in by_path.items()
        if not any(is_live(connection, one) or _is_elsewhere(location, one) for one in checkpoints)
    }


def _is_elsewhere(location: Location, attempt: Any) -> bool:
    """Say whether the files may be on another machine: a server's database is shared, their disks are not."""
    return location.path is None and bool(attempt.host != socket.gethostname())


def reconcile(connection: Connection, location: Location) -> None:
    """Finish what ended attempts left pending, by what the files say."""
    for path, checkpoints in abandoned_checkpoints(connection, location).items():
        _finish(connection, location.absolute(path), checkpoints)


def reconcile_path(connection: Connection, location: Location, stored_path: str) -> None:
    """Finish what is pending for one file of this process."""
    pending = select(CHECKPOINT).where(
        CHECKPOINT.c.path == stored_path, CHECKPOINT.c.pending.is_(True)
    )
    _finish(connection, location.absolute(stored_path), list(connection.execute(pending)))


def settle(connection: Connection, location: Location, stored_paths: Iterable[str]) -> None:
    """Let the file say which checkpoint is at a path, where records that came late have made an older one available."""
    for path in stored_paths:
        saved = select(CHECKPOINT).where(CHECKPOINT.c.path == path, CHECKPOINT.c.pending.is_(False))
        rows = connection.execute(saved.order_by(CHECKPOINT.c.created.desc())).all()
        shown = next((row for row in rows if row.state == CheckpointState.AVAILABLE), None)
        if shown is None or shown is rows[0]:
            continue
        file = inspect_path(location.absolute(path))
        there = next((row for row in rows if is_same(file, row)), shown)
        if there is not shown:
            apply(
                connection,
                [
                    checkpoint_state([shown.id], CheckpointState.PRUNED),
                    checkpoint_state([there.id], CheckpointState.AVAILABLE),
                ],
            )


def _finish(connection: Connection, path: Path, pending: list[Any]) -> None:
    """Give the pending checkpoints of one path the state that its file proves."""
    # A file that was aside when the kill came is another one, and back; or it is gone.
    sweep(path.parent)
    file = inspect_path(path)
    same = [one for one in pending if is_same(file, one)]
    replacing = any(one.state == CheckpointState.MISSING for one in pending)
    kept = None
    # Of an old and a new one with the same content the new one stays: one file, one row.
    if same and replacing:
        kept = max(same, key=lambda one: bool(one.state == CheckpointState.MISSING))
    elif same and file is not None:
        # The kill came between the decision to prune and the deletion.
        try:
            remove(file.path, file.identity)
        except FileNotFoundError:
            pass
        except OSError:
            kept = same[-1]
    for one in pending:
        state = CheckpointState.AVAILABLE if one is kept else one.state
        apply(connection, [checkpoint_state([one.id], state)])
    if replacing and kept is None and file is not None:
        _take_back(connection, pending[0].path, file)
    if not replacing and kept is None:
        for one in pending:
            remove_signature(path, one.sha256)


def _take_back(connection: Connection, path: str, file: SavedFile) -> None:
    """Let the row of a file that was about to be replaced name it again: the kill came before that.

    Its second name in the store has no row then, and goes with the next ``checkpoints gc``. Where another process
    has cleared that out of the store in the meantime, the row counts as pruned, and its file is here all the same.
    """
    in_store = and_(
        CHECKPOINT.c.original_path == path, CHECKPOINT.c.state == CheckpointState.AVAILABLE
    )
    cleared_out = and_(CHECKPOINT.c.path == path, CHECKPOINT.c.state == CheckpointState.PRUNED)
    same = (
        select(CHECKPOINT.c.id)
        .where(
            or_(in_store, cleared_out),
            CHECKPOINT.c.sha256 == file.sha256,
            CHECKPOINT.c.bytes == file.bytes,
        )
        .order_by(CHECKPOINT.c.created.desc())
    )
    newest = connection.scalars(same.limit(1)).first()
    if newest is not None:
        change = update(CHECKPOINT).where(CHECKPOINT.c.id == newest)
        back = {"path": path, "original_path": None, "kept": None}
        connection.execute(change.values(**back, state=CheckpointState.AVAILABLE))
