"""What the trainings of this process have recorded into a run: its next one continues from there."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Trained:
    """Kept up to date by the adapter that trains, as it goes: a training that is dropped says nothing at its end.

    Attributes:
        last_epoch: the last epoch; None where none was recorded.
        in_epoch: whether an epoch was begun and not recorded, of which steps may be.
        steps: how many steps were done when an epoch began, by epoch, as far as that is known.
    """

    last_epoch: int | None = None
    in_epoch: bool = False
    steps: dict[int, int] = field(default_factory=dict)

    def end_epoch(self, epoch: int) -> None:
        """Note that an epoch was recorded."""
        self.last_epoch, self.in_epoch = epoch, False
