"""Lower the learning rate when a metric has stopped improving."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from tracker.policies import reasons, validation
from tracker.policies.compare import beats, single
from tracker.policies.modes import KERAS, TRACKER, direction_of
from tracker.policies.verdict import Record, Verdict


@dataclass(frozen=True)
class PlateauState(Record):
    """What it remembers between epochs.

    Attributes:
        wait: checks since the last improvement, reduction or cooldown.
        best: the best value, None for none yet.
        best_epoch: its 0-based epoch, None for none yet.
        cooldown_counter: epochs left during which nothing is counted.
    """

    wait: int = 0
    best: float | None = None
    best_epoch: int | None = None
    cooldown_counter: int = 0


@dataclass(frozen=True)
class ReduceLROnPlateau(Record):
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
        validation.known_rules(self.rules)
        validation.metric_name(self.monitor)
        keras = self.rules == KERAS
        lowest = -math.inf if keras else 0.0
        settled = {
            "factor": validation.real("factor", self.factor, least=lowest, below=1.0),
            "patience": validation.whole("patience", self.patience, least=None if keras else 0),
            "min_delta": validation.real("min_delta", self.min_delta, finite=not keras),
            "cooldown": validation.whole("cooldown", self.cooldown, least=None if keras else 0),
            "min_lr": validation.real("min_lr", self.min_lr, least=lowest),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        _ = self.direction

    @cached_property
    def direction(self) -> str:
        """``min`` or ``max``: `mode`, or what the metric's name says."""
        return direction_of(self.monitor, self.mode, self.rules)

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
            value: the metric, or None where the epoch has none.
            lr: the learning rate now. With several parameter groups hand in the highest, and
                apply `lowered` to each of them when the verdict is ``reduced``.
            names: the metrics that there are, told where ``value`` is None.

        Returns:
            The new state and a verdict: improved, waited, reduced, or skipped (no metric). Its
            ``lr_after`` is the learning rate to go on with.
        """
        epoch, lr = int(epoch), float(lr)
        lr = single(lr) if self.rules == KERAS else lr
        if value is None:
            missing = reasons.missing(self.monitor, names)
            return state, self._verdict("skipped", missing, state, epoch, None, lr, lr)
        value = float(value)
        if state.cooldown_counter > 0:
            state = replace(state, cooldown_counter=state.cooldown_counter - 1, wait=0)
        if self._improves(value, state.best):
            after = replace(state, best=value, best_epoch=epoch, wait=0)
            reason = self._praise(value, state)
            return after, self._verdict("improved", reason, after, epoch, value, lr, lr)
        if state.cooldown_counter > 0:
            reason = f"{self._blame(value, state)}; {reasons.cooling_down(state.cooldown_counter)}"
            return state, self._verdict("waited", reason, state, epoch, value, lr, lr)
        return self._wait(replace(state, wait=state.wait + 1), epoch, value, lr)

    def _wait(
        self, state: PlateauState, epoch: int, value: float, lr: float
    ) -> tuple[PlateauState, Verdict]:
        reason = f"{self._blame(value, state)}; {reasons.waits(state.wait, self.patience)}"
        if state.wait < self.patience:
            return state, self._verdict("waited", reason, state, epoch, value, lr, lr)
        if not self.can_lower(lr):
            reason = f"{reason}; {reasons.at_min_lr(lr, self.min_lr)}"
            return state, self._verdict("waited", reason, state, epoch, value, lr, lr)
        lower = self.lowered(lr)
        reason = f"{reason}; {reasons.reduced(lr, lower)}"
        after = replace(state, wait=0, cooldown_counter=self.cooldown)
        return after, self._verdict("reduced", reason, after, epoch, value, lr, lower)

    def _improves(self, value: float, best: float | None) -> bool:
        if best is None:
            return self.rules == KERAS or not math.isnan(value)
        return self._beats(value, best, self.rules)

    def _beats(self, value: float, best: float, rules: str) -> bool:
        return beats(value, best, direction=self.direction, min_delta=self.min_delta, rules=rules)

    def _praise(self, value: float, before: PlateauState) -> str:
        if before.best is None:
            return reasons.first(self.monitor, value)
        return reasons.improved(
            self.monitor, value, before.best, before.best_epoch, min_delta=self.min_delta
        )

    def _blame(self, value: float, state: PlateauState) -> str:
        tie = state.best is not None and self._beats(value, state.best, TRACKER)
        return reasons.not_improved(
            self.monitor, value, state.best, state.best_epoch, min_delta=self.min_delta, tie=tie
        )

    def _verdict(
        self,
        verdict: str,
        reason: str,
        state: PlateauState,
        epoch: int,
        value: float | None,
        before: float,
        after: float,
    ) -> Verdict:
        return Verdict(
            verdict=verdict,
            reason=reason,
            epoch=epoch,
            monitor=self.monitor,
            value=value,
            best=state.best,
            best_epoch=state.best_epoch,
            wait=state.wait,
            improved=verdict == "improved",
            lr_before=before,
            lr_after=after,
        )
