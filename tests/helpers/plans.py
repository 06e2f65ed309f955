"""What a database does for a question: the plan of each statement that is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import event

from tracker.storage.database import Reader


class Planned(NamedTuple):
    """A statement, and the lines of its plan."""

    statement: str
    plan: list[str]


def plans(
    reader: Reader, ask: Callable[[Reader], object], verbs: tuple[str, ...] = ("SELECT",)
) -> list[Planned]:
    """Return the plan of each statement that ``ask`` sends and that begins with one of these words."""
    sent: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    connection = reader.connection
    event.listen(connection, "before_cursor_execute", note)
    try:
        ask(reader)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if reader.location.path is not None else "EXPLAIN "
    return [
        Planned(
            statement,
            [
                str(row[-1])
                for row in connection.exec_driver_sql(explain + statement, parameters).all()
            ],
        )
        for statement, parameters in sent
        if statement.startswith(verbs)
    ]
