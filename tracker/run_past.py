"""What a run has recorded already: the part of `tracker.run.Run` that reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker import resume

if TYPE_CHECKING:
    from tracker.recorder import Recorder
    from tracker.silence import Silence


class RunPast:
    """Reads back effective epochs, of all attempts; empty where nothing is recorded."""

    id: str
    first_epoch: int
    writer: Recorder | Silence

    def history(self) -> dict[str, list[float]]:
        """Return the effective epochs before `first_epoch`: metric → a value an epoch (NaN where it has none)."""
        return self.writer.query(
            lambda connection: resume.history(connection, self.id, self.first_epoch)[1], {}
        )

    def recorded_epoch(self, epoch: int) -> dict[str, float] | None:
        """Return the metrics of one effective epoch, of any attempt; None where it was not recorded."""
        return self.writer.query(lambda found: resume.recorded_epoch(found, self.id, epoch), None)

    def epochs_done(self) -> list[int]:
        """Return the numbers of the effective epochs recorded before this attempt goes on."""
        return self.writer.query(
            lambda connection: resume.history(connection, self.id, self.first_epoch)[0], []
        )
