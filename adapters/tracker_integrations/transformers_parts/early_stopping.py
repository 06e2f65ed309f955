"""Checks: the evaluations of a training, and what EarlyStoppingCallback made of them.

The callback judges an evaluation before the Trainer moves its best value, and before or after we hear of it. A check
is therefore read at the event after its evaluation, when both have done what they do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from transformers import EarlyStoppingCallback
from transformers.trainer_callback import TrainerState

import tracker
from tracker.policies import TRANSFORMERS
from tracker_integrations.judged import Seen, record_check
from tracker_integrations.transformers_parts.training import Training


class _Evaluation(NamedTuple):
    """An evaluation whose verdicts are not in yet; ``best`` is the best value before it."""

    epoch: int
    step: int
    value: float
    best: float | None


class Checks:
    """The checks of one training."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._pending: _Evaluation | None = None

    @property
    def are_pending(self) -> bool:
        """Whether there is an evaluation whose verdicts are not recorded."""
        return self._pending is not None

    def remember(self, state: TrainerState) -> None:
        """Take an evaluation that has just ended."""
        training = self._training
        value = training.evaluated.get(training.monitor or "")
        if value is not None:
            self._pending = _Evaluation(
                training.epoch or 0, state.global_step, value, state.best_metric
            )

    def record(self, state: TrainerState) -> None:
        """Record what was decided about the last evaluation, as callbacks and the Trainer remember it now."""
        check, training = self._pending, self._training
        self._pending = None
        if check is None:
            return
        best_epoch = training.best_epoch
        if state.best_metric == check.value != check.best:
            training.best_epoch = check.epoch
        for callback in training.callbacks():
            if isinstance(callback, EarlyStoppingCallback):
                self._record(callback, check, state.best_metric, best_epoch)

    def _record(
        self, stopper: Any, check: _Evaluation, best: float | None, best_epoch: int | None
    ) -> None:
        training, wait = self._training, stopper.early_stopping_patience_counter
        record_check(
            training.recording,
            self._policy(stopper),
            Seen(check.best, best_epoch),
            Seen(best, training.best_epoch, wait),
            epoch=check.epoch,
            step=check.step,
            value=check.value,
            patience=stopper.early_stopping_patience,
            min_delta=_threshold(stopper),
            stopped=wait >= stopper.early_stopping_patience,
            # The best value also moves by less than the threshold.
            improved=wait == 0,
        )

    def _policy(self, stopper: Any) -> tracker.Policy:
        return self._training.recording.policy(
            id(stopper),
            "EarlyStopping",
            monitor=self._training.monitor,
            config={
                "patience": stopper.early_stopping_patience,
                "min_delta": _threshold(stopper),
                "mode": self._training.mode,
                "class": type(stopper).__name__,
            },
            rules=TRANSFORMERS,
        )


def _threshold(stopper: Any) -> float:
    return stopper.early_stopping_threshold or 0.0
