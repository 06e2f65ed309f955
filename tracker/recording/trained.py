"""What the trainings of this process have recorded into a run: its next one continues from there."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Trained:
    """Kept up to date by the adapter that trains.

    Attributes:
        last_epoch: the last epoch; None where none was recorded.
        in_epoch: whether the last training ended within an epoch, of which steps may be recorded.
        steps: how many steps were done when an epoch began, by epoch, as far as that is known.
    """

    last_epoch: int | None = None
    in_epoch: bool = False
    steps: dict[int, int] = field(default_factory=dict)
