"""What was captured about the newest attempt of a run, one row per fact, for filters and comparisons."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, func, select

from tracker import values
from tracker.models import ATTEMPT, FACT
from tracker.storage.statements import upsert

LONGEST_FACT = 2000
"""Characters of text or JSON; longer facts stay with the attempt only."""


def add(connection: Connection, run_id: str, captured: dict[str, Any]) -> None:
    """Make the rows of a run that has none yet."""
    upsert(connection, FACT, _rows(run_id, captured), ("run_id", "name"), ())


def store(connection: Connection, attempt_id: str) -> None:
    """Make the rows of a run's facts those of an attempt, unless a later attempt has begun."""
    attempt = connection.execute(select(ATTEMPT).where(ATTEMPT.c.id == attempt_id)).first()
    if attempt is None:
        return
    newest = select(func.max(ATTEMPT.c.number)).where(ATTEMPT.c.run_id == attempt.run_id)
    if connection.execute(newest).scalar() != attempt.number:
        return
    rows = _rows(attempt.run_id, values.from_json(attempt.captured) or {})
    known = {
        fact.name
        for fact in connection.execute(select(FACT.c.name).where(FACT.c.run_id == attempt.run_id))
    }
    gone = known - {row["name"] for row in rows}
    if gone:
        of_run = FACT.c.run_id == attempt.run_id
        connection.execute(delete(FACT).where(of_run, FACT.c.name.in_(sorted(gone))))
    upsert(connection, FACT, rows, ("run_id", "name"), ("kind", "text", "number"))


def _rows(run_id: str, captured: dict[str, Any]) -> list[dict[str, Any]]:
    encoded = {name: values.param_encode(value) for name, value in values.leaves(captured)}
    return [
        {"run_id": run_id, "name": name, "kind": kind, "text": text, "number": number}
        for name, (kind, text, number) in encoded.items()
        if len(text) <= LONGEST_FACT and values.fits_index(name)
    ]
