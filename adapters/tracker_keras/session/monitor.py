"""Callbacks that watch one metric: what Keras compared, and how that is worded."""

from __future__ import annotations

from typing import Any

import keras

from tracker.policies import reasons
from tracker_keras.session.base import Logs, Recorded


class Monitoring(Recorded):
    """Base of callbacks that stand before Keras' MonitorCallback.

    Attributes:
        improvement: what Keras said when it last compared a value with the best one; None where
            it did not compare.
    """

    tracker_improvement: bool | None = None
    monitor: str
    mode: str
    monitor_op: Any
    min_delta: float
    _tracker_direction_is_due = False

    def _is_improvement(self, monitor_value: Any, reference_value: Any) -> Any:
        answer = super()._is_improvement(monitor_value, reference_value)
        if (
            self.tracker_improvement is None
        ):  # the first comparison is with the best, a second with a baseline
            self.tracker_improvement = bool(answer)
        return answer

    def _tracker_judge(self, epoch: int, logs: Logs) -> None:
        self.tracker_improvement = None
        super()._tracker_judge(epoch, logs)
        if self._tracker_direction_is_due:  # the metrics are built now, at the latest
            self._tracker_tell_direction()

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

    def tracker_praise(
        self, value: float | None, best: float | None, best_epoch: int | None
    ) -> str:
        """Word an improvement over ``best``, the value before this one."""
        value = float("nan") if value is None else value
        if best is None:
            return reasons.first(self.monitor, value)
        return reasons.improved(self.monitor, value, best, best_epoch, min_delta=self.min_delta)

    def tracker_blame(self, value: float | None, best: float | None, best_epoch: int | None) -> str:
        """Word a value that Keras did not take for an improvement over ``best``."""
        value = float("nan") if value is None else value
        tie = best is not None and self._tracker_better_in_double(value, best)
        return reasons.not_improved(
            self.monitor, value, best, best_epoch, min_delta=self.min_delta, tie=tie
        )

    def _tracker_better_in_double(self, value: float, best: float) -> bool:
        shifted = value - self.min_delta
        return shifted > best if self._tracker_direction() == "max" else shifted < best
