"""The base of the callbacks that judge by one metric."""

from __future__ import annotations

from typing import Generic, TypeVar

from tracker import policies
from tracker_torch.callback import Callback

State = TypeVar("State", policies.EarlyStoppingState, policies.PlateauState, policies.BestState)


class MonitoredCallback(Callback, Generic[State]):
    """A callback whose ``state`` is that of its rule in `tracker.policies`."""

    state: State

    @property
    def best(self) -> float | None:
        """The best value so far."""
        return self.state.best

    @property
    def best_epoch(self) -> int | None:
        """Its 0-based epoch."""
        return self.state.best_epoch
