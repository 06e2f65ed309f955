"""Training: one call of ``Trainer.train``, as it is recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from weakref import ReferenceType

from tracker_integrations.recording import Recording


@dataclass
class Training:
    """What is known of a training while it runs.

    Attributes:
        recording: the run.
        trainer: who trains; None where it is not known.
        monitor: the metric that the best model is told by, with its ``eval_``; None for none.
        mode: "min" or "max".
        epoch: the 0-based epoch that is trained; None before the first.
        in_epoch: whether it has not ended.
        logged: what was logged in it: the last value of each metric.
        rate: the learning rate of the last step.
        evaluated: the metrics of the last evaluation, on all its data sets.
        evaluated_at: its step.
        best_epoch: the epoch of the best value; None for none yet.
    """

    recording: Recording
    trainer: ReferenceType[Any] | None = None
    monitor: str | None = None
    mode: str = "min"
    epoch: int | None = None
    in_epoch: bool = False
    logged: dict[str, float] = field(default_factory=dict)
    rate: float | None = None
    evaluated: dict[str, float] = field(default_factory=dict)
    evaluated_at: int = -1
    best_epoch: int | None = None

    def callbacks(self) -> list[Any]:
        """Return the callbacks of the Trainer; none where it is not known."""
        trainer = None if self.trainer is None else self.trainer()
        return [] if trainer is None else list(trainer.callback_handler.callbacks)
