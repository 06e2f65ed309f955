"""What the policies have in common that watch one metric: which value is better, and how that is worded."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

from tracker.policies import reasons, validation
from tracker.policies.compare import beats
from tracker.policies.modes import KERAS, TRACKER, direction_of
from tracker.policies.verdict import Record, Verdict
from tracker.states import VerdictWord


class MonitoredState(Record):
    """What such a policy remembers; ``wait`` is None where it counts no checks."""

    best: float | None
    best_epoch: int | None
    wait: int | None = None


class Monitored(Record):
    """Base of the policies that watch one metric; each of them declares the fields itself."""

    monitor: str | None
    mode: str
    rules: str
    min_delta: float = 0.0

    known_rules: ClassVar[tuple[str, ...]] = (TRACKER, KERAS)
    """The versions of the rules that there are for this policy."""

    @cached_property
    def direction(self) -> str:
        """``min`` or ``max``: `mode`, or what the metric's name says."""
        return direction_of(self.monitor or "", self.mode, self.rules)

    def _check_monitor(self, *, optional: bool = False) -> None:
        """Refuse rules that are unknown, a monitor that is not a name, and a direction that nobody can tell."""
        validation.known_rules(self.rules, self.known_rules)
        if self.monitor is None and optional:
            return
        validation.metric_name(self.monitor)
        _ = self.direction

    def _set(self, **values: Any) -> None:
        """Replace fields by their checked values; the dataclasses are frozen."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _improves(self, value: float, best: float | None) -> bool:
        if best is None:
            return self.rules == KERAS or not math.isnan(value)
        return self._beats(value, best)

    def _beats(self, value: float, reference: float, rules: str | None = None) -> bool:
        return beats(
            value,
            reference,
            direction=self.direction,
            min_delta=self.min_delta,
            rules=rules or self.rules,
        )

    def _improvement(self, before: MonitoredState, value: float) -> str:
        """Word a new best."""
        monitor = self.monitor or ""
        if before.best is None:
            return reasons.first(monitor, value)
        return reasons.improved(
            monitor, value, before.best, before.best_epoch, min_delta=self.min_delta
        )

    def _no_improvement(self, before: MonitoredState, value: float) -> str:
        """Word a value that is not a new best."""
        tie = before.best is not None and self._beats(value, before.best, TRACKER)
        return reasons.not_improved(
            self.monitor or "",
            value,
            before.best,
            before.best_epoch,
            min_delta=self.min_delta,
            tie=tie,
        )

    def _verdict(
        self,
        verdict: VerdictWord,
        reason: str,
        state: MonitoredState,
        epoch: int,
        value: float | None,
        *,
        improved: bool = False,
    ) -> Verdict:
        """Return a verdict; ``state`` is the one after this epoch."""
        return Verdict(
            verdict=verdict,
            reason=reason,
            epoch=epoch,
            monitor=self.monitor,
            value=value,
            best=state.best,
            best_epoch=state.best_epoch,
            wait=state.wait,
            improved=improved,
        )
