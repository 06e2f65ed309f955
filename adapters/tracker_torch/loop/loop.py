"""What a callback sees of the loop that calls it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tracker import Run
from tracker_torch.loop.accumulation import Accumulation
from tracker_torch.loop.advance import Advance
from tracker_torch.loop.position import Position
from tracker_torch.loop.rates_used import RatesUsed
from tracker_torch.state.settings import ScriptSettings


class Remembering(Protocol):
    """A callback, as far as another one deals with it: its name, and what a backup keeps of it."""

    @property
    def kind(self) -> str:
        """The name it is recorded by."""

    def get_state(self) -> dict[str, Any] | None:
        """Return what a backup keeps of it."""

    def set_state(self, saved: Mapping[str, Any]) -> None:
        """Take that back."""


class Loop(Protocol):
    """The training in progress; `tracker_torch.CallbackList` is one, and says what each name means."""

    model: Any
    optimizer: Any
    scheduler: Any
    scaler: Any
    params: dict[str, Any]
    epoch: int
    step: int
    first_epoch: int
    main: bool
    restored: bool
    is_next_phase: bool
    phase_begin: int
    lacking: frozenset[str]
    settings: ScriptSettings
    position: Position
    rates: dict[str, float]
    rates_used: RatesUsed
    accumulation: Accumulation
    advance: Advance
    stop_training: bool

    @property
    def run(self) -> Run:
        """The run that is recorded."""

    @property
    def callbacks(self) -> Sequence[Remembering]:
        """All callbacks of this training."""

    @property
    def live(self) -> bool:
        """Whether training has begun, has not ended, and is still driven by somebody."""

    @property
    def has_its_rates(self) -> bool:
        """Whether the learning rates came back with the optimizer."""

    def stop(self, reason: str) -> None:
        """End training, for a reason that is kept with the run."""

    def say(self, text: str) -> None:
        """Print, on one process only."""

    def warn(self, text: str) -> None:
        """Warn, on one process only."""

    def forgive(self, error: Exception, who: object, what: str) -> None:
        """Continue without a file that could not be written, with one warning for each ``who``."""
