"""Where a checkpoint comes from: its run, the state of the code, and the files that it was trained from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from tracker.checkpointing.copies import copies_of_one
from tracker.models import ATTEMPT, CHECKPOINT, PARAM, RUN
from tracker.queries.resolve import labels_of
from tracker.storage.database import Reader
from tracker.values import from_json, param_decode

PARENTS = "loaded_checkpoints"
"""Where in what an attempt captured the checkpoints are that `tracker.load_checkpoint` has loaded into it."""


LOADED = "loaded"
"""Where in each of them the time is when it was loaded."""


def provenance(reader: Reader, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a checkpoint, as plain data.

    Args:
        reader: an open database.
        checkpoint: its row, as `tracker.queries.checkpoints.find_checkpoint` gives it.

    Returns:
        The file; the run with its params; epoch, step and metrics; ``git`` as it was captured; and
        ``parents``: the attempt that it resumed, the run that it belongs to, files that were loaded; and
        ``copies`` in remote folders.
    """
    connection = reader.connection
    row = connection.execute(select(CHECKPOINT).where(CHECKPOINT.c.id == checkpoint["id"])).one()
    run = connection.execute(select(RUN).where(RUN.c.id == row.run_id)).one()
    attempts = select(ATTEMPT.c.number, ATTEMPT.c.captured, ATTEMPT.c.started)
    upto = list(
        connection.execute(
            attempts.where(ATTEMPT.c.run_id == run.id, ATTEMPT.c.number <= row.attempt).order_by(
                ATTEMPT.c.number
            )
        )
    )
    captured = {attempt.number: from_json(attempt.captured) or {} for attempt in upto}
    now = captured.get(row.attempt, {})
    params = connection.execute(
        select(PARAM).where(PARAM.c.run_id == run.id).order_by(PARAM.c.name)
    )
    return {
        "id": row.id,
        "path": checkpoint["path"],
        "file": checkpoint["file"],
        "bytes": row.bytes,
        "sha256": row.sha256,
        "state": checkpoint["state"],
        "kept": row.kept,
        "pinned": row.pinned,
        "alias": checkpoint["alias"],
        "run": checkpoint["run"],
        "run_id": run.id,
        "experiment": run.experiment,
        "attempt": row.attempt,
        "epoch": row.epoch,
        "step": row.step,
        "monitor": row.monitor,
        "value": checkpoint["value"],
        "metrics": from_json(row.metrics) or {},
        "params": {param.name: param_decode(param.kind, param.text) for param in params},
        "policy": checkpoint["policy"],
        "git": now.get("git"),
        "parents": _parents(reader, run, row, captured),
        "copies": [
            {"url": copy.url, "state": copy.state} for copy in copies_of_one(connection, row.id)
        ],
    }


def _parents(
    reader: Reader, run: Any, row: Any, captured: Mapping[int, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return what a file was trained from, nearest first; what was loaded after it was saved is none of that."""
    parents: list[dict[str, Any]] = []
    if row.attempt > 1:
        parents.append({"relation": "resumed from", "run": run.name, "attempt": row.attempt - 1})
    loaded = [
        one
        for number in sorted(captured, reverse=True)
        for one in captured[number].get(PARENTS, ())
        if one.get(LOADED, 0) <= row.created
    ]
    own = _of_run(reader, run.id, [one["checkpoint"] for one in loaded])
    for one in loaded:
        relation = "resumed from" if one["checkpoint"] in own else "fine-tuned from"
        facts = {name: value for name, value in one.items() if name != LOADED}
        parents.append({"relation": relation, **facts})
    if run.parent_id is not None:
        name = labels_of(reader.connection, [run.parent_id], None).get(run.parent_id, run.parent_id)
        parents.append({"relation": "part of", "run": name})
    return parents


def _of_run(reader: Reader, run: str, ids: list[str]) -> set[str]:
    """Return which of some checkpoints are a run's own."""
    own = select(CHECKPOINT.c.id).where(CHECKPOINT.c.run_id == run)
    return set(reader.connection.scalars(own)) & set(ids) if ids else set()
