"""Lower the learning rate when a metric has stopped improving."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tracker.policies import reasons, validation
from tracker.policies.compare import single
from tracker.policies.modes import KERAS, TRACKER
from tracker.policies.monitored import Monitored, MonitoredState
from tracker.policies.verdict import Verdict
from tracker.states import VerdictWord


@dataclass(frozen=True)
class PlateauState(MonitoredState):
    """What it remembers between epochs.

    Attributes:
        wait: checks since the last improvement, reduction or cooldown.
        best: the best value, None for none yet.
        best_epoch: its 0-based epoch, None for none yet.
        cooldown_counter: remaining epochs during which nothing is counted.
    """

    wait: int = 0
    best: float | None = None
    best_epoch: int | None = None
    cooldown_counter: int = 0


@dataclass(frozen=True)
class ReduceLROnPlateau(Monitored):
    """Multiply the learning rate by ``factor`` after ``patience`` checks without improvement.

    The rules are those of Keras 3.15.1: reduction at ``wait >= patience`` (torch's scheduler waits
    one epoch longer), never below ``min_lr``, then ``cooldown`` epochs that do not count. Under
    ``keras-3.15`` values are compared in single precision, a first NaN is best for ever, and
    learning rates are single-precision numbers; under ``tracker-1`` all are doubles and a NaN is
    never best and counts as a wait.

    Raises:
        BadValue: for ``factor`` of 1 or more; under ``tracker-1`` also for a negative ``factor``,
            ``patience``, ``cooldown`` or ``min_lr`` and for an unknown mode.
    """

    monitor: str = "val_loss"
    factor: float = 0.1
    patience: int = 10
    mode: str = "auto"
    min_delta: float = 1e-4
    cooldown: int = 0
    min_lr: float = 0.0
    rules: str = TRACKER

    def __post_init__(self) -> None:
        self._check_monitor()
        keras = self.rules == KERAS
        lowest = -math.inf if keras else 0.0
        least = None if keras else 0
        self._set(
            factor=validation.real(self.factor, "factor", least=lowest, below=1.0),
            patience=validation.count(self.patience, "patience", least=least),
            min_delta=validation.real(self.min_delta, "min_delta", finite=not keras),
            cooldown=validation.count(self.cooldown, "cooldown", least=least),
            min_lr=validation.real(self.min_lr, "min_lr", least=lowest),
        )

    def initial(self) -> PlateauState:
        """Return the state before the first epoch."""
        return PlateauState()

    def can_lower(self, lr: float) -> bool:
        """Say whether ``lr`` is above ``min_lr``."""
        if self.rules == KERAS:
            return single(lr) > single(self.min_lr)
        return lr > self.min_lr

    def lowered(self, lr: float) -> float:
        """Return ``lr`` one reduction further down; an ``lr`` at or below ``min_lr`` stays."""
        if not self.can_lower(lr):
            return single(lr) if self.rules == KERAS else lr
        if self.rules == KERAS:
            return single(max(single(lr) * self.factor, self.min_lr))
        return max(lr * self.factor, self.min_lr)

    def step(
        self,
        state: PlateauState,
        epoch: int,
        value: float | None,
        lr: float,
        names: Iterable[str] = (),
    ) -> tuple[PlateauState, Verdict]:
        """Judge one epoch.

        Args:
            state: what the epoch before returned, or `initial`.
            epoch: 0-based number of the epoch that has ended.
            value: the metric, or None where the epoch lacks it.
            lr: the learning rate now. With several parameter groups hand in the highest, and
                apply `lowered` to each of them when the verdict is ``reduced``.
            names: the metrics of this epoch, which the reason lists where ``value`` is None.

        Returns:
            The new state and a verdict: improved, waited, reduced, or skipped (no metric). Its
            ``lr_after`` is the learning rate from now on.
        """
        epoch, lr = int(epoch), float(lr)
        lr = single(lr) if self.rules == KERAS else lr
        if value is None:
            missing = reasons.missing(self.monitor, names)
            return state, self._judged(VerdictWord.SKIPPED, missing, state, epoch, None, lr, lr)
        value = float(value)
        if state.cooldown_counter > 0:
            state = replace(state, cooldown_counter=state.cooldown_counter - 1, wait=0)
        if self._improves(value, state.best):
            after = replace(state, best=value, best_epoch=epoch, wait=0)
            reason = self._improvement(state, value)
            return after, self._judged(VerdictWord.IMPROVED, reason, after, epoch, value, lr, lr)
        if state.cooldown_counter > 0:
            reason = f"{self._no_improvement(state, value)}; {reasons.cooling_down(state.cooldown_counter)}"
            return state, self._judged(VerdictWord.WAITED, reason, state, epoch, value, lr, lr)
        return self._wait(replace(state, wait=state.wait + 1), epoch, value, lr)

    def _wait(
        self, state: PlateauState, epoch: int, value: float, lr: float
    ) -> tuple[PlateauState, Verdict]:
        reason = f"{self._no_improvement(state, value)}; {reasons.waits(state.wait, self.patience)}"
        if state.wait < self.patience:
            return state, self._judged(VerdictWord.WAITED, reason, state, epoch, value, lr, lr)
        if not self.can_lower(lr):
            reason = f"{reason}; {reasons.at_min_lr(lr, self.min_lr)}"
            return state, self._judged(VerdictWord.WAITED, reason, state, epoch, value, lr, lr)
        lower = self.lowered(lr)
        reason = f"{reason}; {reasons.reduced(lr, lower)}"
        after = replace(state, wait=0, cooldown_counter=self.cooldown)
        return after, self._judged(VerdictWord.REDUCED, reason, after, epoch, value, lr, lower)

    def _judged(
        self,
        verdict: VerdictWord,
        reason: str,
        state: PlateauState,
        epoch: int,
        value: float | None,
        lr_before: float,
        lr_after: float,
    ) -> Verdict:
        improved = verdict is VerdictWord.IMPROVED
        judged = self._verdict(verdict, reason, state, epoch, value, improved=improved)
        return replace(judged, lr_before=lr_before, lr_after=lr_after)
