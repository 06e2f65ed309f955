"""Which checkpoints' files are gone now, though nobody has recorded that yet. Reading never writes."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Sequence
from pathlib import Path

from sqlalchemy import BindParameter, and_, bindparam, case, exists, or_, select
from sqlalchemy.sql.elements import ColumnElement

from tracker.models import ATTEMPT, CHECKPOINT
from tracker.states import OVERWRITTEN, CheckpointState
from tracker.storage.chunks import in_chunks
from tracker.storage.database import Reader


def missing_files(reader: Reader, runs: Sequence[str] | None) -> set[str]:
    """Return the ids of checkpoints that are recorded as available and whose file is not there; of all runs for None.

    Files that other machines saved while recording on a server cannot be looked at from here.
    """
    statement = (
        select(CHECKPOINT.c.id, CHECKPOINT.c.path, ATTEMPT.c.host)
        .join_from(
            CHECKPOINT,
            ATTEMPT,
            (ATTEMPT.c.run_id == CHECKPOINT.c.run_id) & (ATTEMPT.c.number == CHECKPOINT.c.attempt),
        )
        .where(CHECKPOINT.c.state == CheckpointState.AVAILABLE, CHECKPOINT.c.pending.is_(False))
    )
    location, here = reader.location, socket.gethostname()
    return {
        row.id
        for row in in_chunks(reader.connection, statement, CHECKPOINT.c.run_id, runs)
        if (location.path is not None or row.host == here) and _is_gone(location.absolute(row.path))
    }


def _is_gone(path: Path) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        # A folder that this user may not search says nothing about the file.
        return False
    return False


def state_now(missing: Collection[str]) -> ColumnElement[str]:
    """Return a checkpoint's state as an expression, with those in ``missing`` as missing.

    A pruned one whose path a later checkpoint has taken was overwritten: nobody chose to delete it.
    """
    later = CHECKPOINT.alias()
    replaced = exists().where(
        or_(later.c.path == CHECKPOINT.c.path, later.c.original_path == CHECKPOINT.c.path),
        later.c.created > CHECKPOINT.c.created,
    )
    is_overwritten = and_(CHECKPOINT.c.state == CheckpointState.PRUNED, replaced)
    state: ColumnElement[str] = case((is_overwritten, OVERWRITTEN), else_=CHECKPOINT.c.state)
    if not missing:
        return state
    # Written into the statement: a database takes a limited number of bound values.
    ids: BindParameter[list[str]] = bindparam(
        "missing", sorted(missing), expanding=True, literal_execute=True
    )
    return case((CHECKPOINT.c.id.in_(ids), CheckpointState.MISSING.value), else_=state)
