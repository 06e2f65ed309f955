"""What was captured about the newest attempt of a run, one row per fact, for filters and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Connection, delete, func, select

from tracker import values
from tracker.models import ATTEMPT, FACT
from tracker.storage.statements import upserting

LONGEST_FACT = 2000
"""Characters of text or JSON; longer facts stay with the attempt only."""

_Fact = tuple[str, str, str, float | None]
_COLUMNS, _KEY = ("run_id", "name", "kind", "text", "number"), ("run_id", "name")
_ADD = upserting(FACT, _COLUMNS, _KEY, ())
_REPLACE = upserting(FACT, _COLUMNS, _KEY, ("kind", "text", "number"))


def add(connection: Connection, run_id: str, captured: str) -> None:
    """Make the rows of a run that has none yet, of the JSON of what was captured."""
    _ADD.run_each(connection, [(run_id, *row) for row in _rows(captured)])


def store(connection: Connection, attempt_id: str) -> None:
    """Make the rows of a run's facts those of an attempt, unless a later attempt has begun."""
    attempt = connection.execute(select(ATTEMPT).where(ATTEMPT.c.id == attempt_id)).first()
    if attempt is None:
        return
    newest = select(func.max(ATTEMPT.c.number)).where(ATTEMPT.c.run_id == attempt.run_id)
    if connection.execute(newest).scalar() != attempt.number:
        return
    rows = _rows(attempt.captured)
    known = {
        fact.name
        for fact in connection.execute(select(FACT.c.name).where(FACT.c.run_id == attempt.run_id))
    }
    gone = known - {name for name, *_ in rows}
    if gone:
        of_run = FACT.c.run_id == attempt.run_id
        connection.execute(delete(FACT).where(of_run, FACT.c.name.in_(sorted(gone))))
    _REPLACE.run_each(connection, [(attempt.run_id, *row) for row in rows])


@lru_cache(maxsize=4)
def _rows(captured: str | None) -> Sequence[_Fact]:
    """Return the facts of what was captured, in JSON; the runs of a sweep have the same, so they are kept."""
    encoded = {
        name: values.param_encode(value)
        for name, value in values.leaves(values.from_json(captured) or {})
    }
    return [
        (name, kind, text, number)
        for name, (kind, text, number) in encoded.items()
        if len(text) <= LONGEST_FACT and values.fits_index(name)
    ]
