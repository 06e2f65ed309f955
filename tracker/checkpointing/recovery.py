"""Settle what killed processes left pending, by what the files say."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from tracker.files import inspect_file, is_same
from tracker.models import ATTEMPT, CHECKPOINT
from tracker.process import is_alive
from tracker.storage.entries import checkpoint_state
from tracker.storage.journal import apply
from tracker.storage.location import Location


def reconcile(connection: Connection, location: Location) -> None:
    """Settle what killed processes left pending, by what the files say."""
    rows = connection.execute(
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
            ATTEMPT.c.pid, ATTEMPT.c.process_started, ATTEMPT.c.heartbeat,
        )
    ).all()  # fmt: skip
    by_path: dict[str, list[Any]] = {}
    for one in rows:
        by_path.setdefault(one.path, []).append(one)
    for path, pending in by_path.items():
        if not any(is_alive(one) or _elsewhere(location, one) for one in pending):
            _settle(connection, location.absolute(path), pending)


def _elsewhere(location: Location, attempt: Any) -> bool:
    """Say whether the files may be on another machine: a server's database is shared, their disks are not."""
    return location.path is None and bool(attempt.host != socket.gethostname())


def settle_path(connection: Connection, location: Location, stored_path: str) -> None:
    """Settle what is pending for one file of this process."""
    found = CHECKPOINT.c.path == stored_path, CHECKPOINT.c.pending.is_(True)
    pending = connection.execute(select(CHECKPOINT).where(*found)).all()
    _settle(connection, location.absolute(stored_path), list(pending))


def _settle(connection: Connection, path: Path, pending: list[Any]) -> None:
    found = inspect_file(path)
    same = [one for one in pending if is_same(found, one)]
    replacing = any(one.state == "missing" for one in pending)
    kept = None
    # Of an old and a new one with the same content the new one stays: one file, one row.
    if same and replacing:
        kept = max(same, key=lambda one: bool(one.state == "missing"))
    elif same:
        try:
            path.unlink()  # the kill came between the decision to prune and the deletion
        except FileNotFoundError:
            pass
        except OSError:
            kept = same[-1]
    for one in pending:
        state = "available" if one is kept else one.state
        apply(connection, [checkpoint_state([one.id], state)])
