"""What a run writes through: the interface that the recorder and the null recorder fulfil alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Select

from tracker.checkpointing.store import Keeping
from tracker.states import RunStatus
from tracker.storage.database import Reader
from tracker.storage.entries import Entry, Kept
from tracker.storage.location import Location

T = TypeVar("T")

CALL_SECONDS = 2.0
"""No call that records takes longer, whatever disk or server do."""


class LogCall(Protocol):
    """The call of `tracker.Run.log`, which is the writer's own: a step then costs one call and not two."""

    def __call__(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Stream step metrics."""


class Writer(Protocol):
    """Where a run's entries and step metrics go, for the current attempt.

    Attributes:
        log: streams step metrics; refuses what is not one number, whether it records or not.
    """

    log: LogCall

    @property
    def recording(self) -> bool:
        """Whether what is written here is kept."""

    @property
    def strict(self) -> bool:
        """Whether what cannot be recorded is raised."""

    @property
    def location(self) -> Location | None:
        """The database; None where nothing is recorded."""

    @property
    def attempt_id(self) -> str:
        """The id of the attempt that is written for; empty where nothing is recorded."""

    def record(self, *entries: Entry) -> None:
        """Make entries durable."""

    def flush(self, seconds: float | None = None) -> None:
        """Write what is pending; on failure, or where it takes longer than so many seconds, it stays so."""

    def query(self, ask: Callable[[Reader], T], otherwise: T) -> T:
        """Return what ``ask`` finds in what is committed; ``otherwise`` where nothing is recorded.

        Raises:
            StoreError: when the database does not answer.
        """

    def rows(self, statement: Select[Any]) -> list[Any]:
        """Return the rows that a statement selects, as `query` does; none where nothing is recorded."""

    def amend(self, change: Callable[[Connection, Location], object]) -> None:
        """Change rows in a transaction of its own; one that fails is logged, and raised if `strict`."""

    def stored_path(self, path: str | os.PathLike[str]) -> str:
        """Return a path as the database keeps it."""

    def next_attempt(self, number: int) -> None:
        """Begin another attempt of the run, in the same process."""

    def close(self, *entries: Entry) -> None:
        """Write the last entries and end."""

    def discard(self) -> bool:
        """Delete the run, and end, where nothing of a training was recorded; say whether it was so."""

    def forget(self) -> None:
        """Let go of everything after a fork: it belongs to the parent."""


class RecordedRun(Protocol):
    """What the policies and checkpoints of a run see of it."""

    id: str
    attempt: int
    first_epoch: int
    kept: Kept | None
    writer: Writer
    keeping: Keeping
    remote: str | None
    status: RunStatus

    @property
    def is_resumed(self) -> bool:
        """Whether this attempt continues one of another process."""

    def check_open(self) -> None:
        """Raise `RunClosed` when the run has finished."""

    def on_finish(self, call: Callable[[], object]) -> None:
        """Have ``call`` called once the run has ended and its status is on disk."""

    def next_number(self, what: str) -> int:
        """Count what this attempt has: "decision" or "policy"."""

    def capture(self, **sections: Any) -> None:
        """Record facts about the current attempt."""
