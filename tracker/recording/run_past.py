"""What a run has recorded already: the part of `tracker.recording.run.Run` that reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

from tracker.recording import resume
from tracker.recording.null_recorder import Silence

if TYPE_CHECKING:
    from tracker.recording.recorder import Recorder

T = TypeVar("T")


class RunPast:
    """Reads back effective epochs, of all attempts; empty where nothing is recorded.

    Each raises a `StoreError` where the database does not answer: none at all is another answer.
    """

    id: str
    first_epoch: int
    writer: Recorder | Silence

    def history(self) -> dict[str, list[float]]:
        """Return the effective epochs before `first_epoch`: metric → a value an epoch (NaN where it has none)."""
        return self._asked(lambda found: resume.history(found, self.id, self.first_epoch)[1], {})

    def recorded_epoch(self, epoch: int) -> dict[str, float] | None:
        """Return the metrics of one effective epoch, of any attempt; None where it was not recorded."""
        return self._asked(lambda found: resume.recorded_epoch(found, self.id, epoch), None)

    def epochs_done(self) -> list[int]:
        """Return the numbers of the effective epochs recorded before this attempt goes on."""
        return self._asked(lambda found: resume.history(found, self.id, self.first_epoch)[0], [])

    def _asked(self, ask: Callable[[Connection], T], otherwise: T) -> T:
        return otherwise if isinstance(self.writer, Silence) else self.writer.query(ask)
