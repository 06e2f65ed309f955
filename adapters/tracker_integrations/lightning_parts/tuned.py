"""What changes learning rates, batch sizes or weights in a Lightning training: tuners and weight averaging."""

from __future__ import annotations

from typing import Any

from tracker.policies import reasons
from tracker_integrations.lightning_parts.kinds import is_kind, of_kind
from tracker_integrations.recording import Recording


def rate_of(optimizers: list[Any]) -> float | None:
    """Return the rate of the first optimizer's first parameter group; None where there is none."""
    groups = optimizers[0].param_groups if optimizers else ()
    return float(groups[0]["lr"]) if groups else None


def record_found_rate(recording: Recording, trainer: Any, before: float | None) -> None:
    """Record the learning rate that a LearningRateFinder has set before training."""
    for callback in of_kind(trainer.callbacks, "LearningRateFinder"):
        found = getattr(callback, "optimal_lr", None)
        suggestion = None if found is None else found.suggestion()
        if suggestion is None:
            continue
        policy = recording.policy(
            callback,
            "LearningRateFinder",
            config={"min_lr": callback._min_lr, "max_lr": callback._max_lr},
        )
        recording.decide(
            policy,
            "scheduled",
            epoch=trainer.current_epoch,
            reason=reasons.rate_found(trainer.current_epoch, before, suggestion),
            lr_before=before,
            lr_after=suggestion,
        )


class WatchedAveraging:
    """One StochasticWeightAveraging: when it begins to average, and when the averages take over."""

    def __init__(self, recording: Recording, callback: Any) -> None:
        self._recording, self._callback = recording, callback
        self._policy = recording.policy(
            callback,
            "StochasticWeightAveraging",
            config={"swa_lrs": callback._swa_lrs, "swa_epoch_start": callback._swa_epoch_start},
        )
        self._rate: float | None = None

    @staticmethod
    def watches(callback: object) -> bool:
        """Say whether a callback is one."""
        return is_kind(callback, "StochasticWeightAveraging")

    def end_epoch(self, epoch: int, rate: float | None) -> None:
        """Record the epoch in which averaging began; ``rate`` is the one that it was trained with."""
        if epoch == self._callback.swa_start:
            self._recording.decide(
                self._policy,
                "scheduled",
                epoch=epoch,
                reason=reasons.averaging(epoch),
                lr_before=self._rate,
                lr_after=rate,
            )
        self._rate = rate

    def end(self, epoch: int) -> None:
        """Record that the averaged weights have taken the place of the trained ones."""
        callback = self._callback
        if epoch >= callback.swa_end and getattr(callback, "_initialized", True):
            self._recording.decide(
                self._policy,
                "restored",
                epoch=epoch,
                reason=reasons.averaged(callback.swa_start, callback.swa_end),
            )
