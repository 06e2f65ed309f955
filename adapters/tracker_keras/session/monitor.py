"""Callbacks that watch one metric: what Keras compared, and how that is worded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tracker.policies import reasons
from tracker_keras.session.base import Logs, Recorded
from tracker_keras.session.values import number


class Comparison:
    """What Keras answered when it compared a value with the best one.

    Attributes:
        improved: None where it did not compare.
        value: what was compared with the best value, which a subclass may compute.
    """

    def __init__(self) -> None:
        self.improved: bool | None = None
        self.value: float | None = None

    def note(self, value: Any, answer: Any) -> None:
        """Take an answer; the first one is about the best value, a second about a baseline."""
        if self.improved is None:
            self.value = number(value)
            self.improved = bool(answer)


class Monitoring(Recorded):
    """Base of callbacks that stand before Keras' MonitorCallback."""

    monitor: str
    mode: str
    monitor_op: Any
    min_delta: float
    _tracker_comparison: Comparison | None = None
    _tracker_direction_is_due = False

    @contextmanager
    def tracker_comparison(self) -> Iterator[Comparison]:
        """Note what Keras compares meanwhile."""
        self._tracker_comparison = comparison = Comparison()
        try:
            yield comparison
        finally:
            self._tracker_comparison = None
        if self._tracker_direction_is_due:  # the metrics are built now, at the latest
            self._tracker_tell_direction()

    def _is_improvement(self, monitor_value: Any, reference_value: Any) -> Any:
        answer = super()._is_improvement(monitor_value, reference_value)
        if self._tracker_comparison is not None:
            self._tracker_comparison.note(monitor_value, answer)
        return answer

    def tracker_value(self, comparison: Comparison, logs: Logs) -> float | None:
        """Return the value that was compared; where none was, the metric in ``logs``, if it is there."""
        if comparison.improved is not None:
            return comparison.value
        return number((logs or {}).get(self.monitor))

    def tracker_config(self) -> dict[str, Any]:
        """Return the settings, with the direction that "auto" stands for, and min_delta's size."""
        found = super().tracker_config()
        if "min_delta" in found:
            found["min_delta"] = abs(float(found["min_delta"]))
        direction = self._tracker_direction()
        self._tracker_direction_is_due = direction is None
        return {**found, "mode": direction or self.mode}

    def _tracker_tell_direction(self) -> None:
        direction = self._tracker_direction()
        if direction is not None and self._tracker_policy is not None:
            self._tracker_policy.configure(mode=direction)
            self._tracker_direction_is_due = False

    def _tracker_direction(self) -> str | None:
        """Ask Keras which way is better; None where it can only say so later, or never."""
        before = self.monitor_op, self.min_delta
        try:
            if self.monitor_op is None:
                self._set_monitor_op()
            return "max" if self.monitor_op == keras.ops.greater else "min"
        except ValueError:  # Keras raises it at the end of the first epoch
            return None
        finally:
            self.monitor_op, self.min_delta = before

    def tracker_why_improved(
        self, value: float | None, best: float | None, best_epoch: int | None
    ) -> str:
        """Word an improvement over ``best``, the value before this one."""
        value = float("nan") if value is None else value
        if best is None:
            return reasons.first(self.monitor, value)
        return reasons.improved(self.monitor, value, best, best_epoch, min_delta=self.min_delta)

    def tracker_why_not_improved(
        self, value: float | None, best: float | None, best_epoch: int | None
    ) -> str:
        """Word a value that Keras did not take for an improvement over ``best``."""
        value = float("nan") if value is None else value
        tie = best is not None and self._tracker_better_in_double(value, best)
        return reasons.not_improved(
            self.monitor, value, best, best_epoch, min_delta=self.min_delta, tie=tie
        )

    def _tracker_better_in_double(self, value: float, best: float) -> bool:
        shifted = value - self.min_delta
        return shifted > best if self._tracker_direction() == "max" else shifted < best
