"""Lightning's EarlyStopping, watched: what it decided is told from its state before and after a check."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tracker
from tracker.policies import reasons
from tracker_integrations.judged import Seen, record_check
from tracker_integrations.lightning_parts.kinds import settings
from tracker_integrations.recording import Recording

RULES = "lightning-2.6"
SETTINGS = (
    "patience",
    "min_delta",
    "mode",
    "check_finite",
    "stopping_threshold",
    "divergence_threshold",
    "strict",
)


class WatchedStop:
    """One EarlyStopping, and what it remembered at the last check that was seen.

    Args:
        recording: the training.
        callback: Lightning's.
        key: which of the trainer's callbacks it is.
    """

    def __init__(self, recording: Recording, callback: Any, key: int) -> None:
        self._recording, self._callback = recording, callback
        config = settings(callback, SETTINGS)
        # Lightning keeps it with the sign that it is subtracted by.
        config["min_delta"] = abs(config["min_delta"])
        self._policy = recording.policy(
            ("EarlyStopping", key),
            "EarlyStopping",
            monitor=callback.monitor,
            config=config,
            rules=RULES,
        )
        self._seen = self._remembered()
        self._marks = self._stop_marks()
        self.reason: str | None = None

    @property
    def monitor(self) -> str:
        """The metric that it watches."""
        return str(self._callback.monitor)

    def _remembered(self) -> Seen:
        """Return what it remembers at the start, which a checkpoint may have brought back."""
        best = _plain(self._callback.best_score)
        return Seen(best, None, int(self._callback.wait_count)).known_to(self._policy)

    def _stop_marks(self) -> tuple[Any, ...]:
        callback = self._callback
        reason = getattr(callback, "stopping_reason", None)
        message = getattr(callback, "stopping_reason_message", None)
        return callback.stopped_epoch, getattr(reason, "value", reason), message

    def look(self, epoch: int, step: int, value: Any, held: str | None) -> None:
        """Record the check that has been, if there was one.

        Args:
            epoch, step: where the training is.
            value: the metric now; None where there is none.
            held: why a stop does not take effect yet, such as ``min_epochs``.
        """
        callback, before = self._callback, self._seen
        best, wait, marks = (
            _plain(callback.best_score),
            int(callback.wait_count),
            self._stop_marks(),
        )
        improved = best != before.best
        signalled = marks != self._marks or (wait > before.wait and wait >= callback.patience)
        if value is None or not (improved or wait != before.wait or signalled):
            return
        after = Seen(best, epoch, wait) if improved else replace(before, wait=wait)
        self._seen, self._marks = after, marks
        number = tracker.number(value, callback.monitor)
        why = self._cause(number, after) if signalled else None
        if signalled:
            why = why or self._waited(number, before, after)
            self.reason = why
            why = f"{why}; {held}" if held else why
        record_check(
            self._recording,
            self._policy,
            before,
            after,
            epoch=epoch,
            step=step,
            value=number,
            patience=callback.patience,
            min_delta=abs(callback.min_delta),
            stopped=signalled and held is None,
            why=why,
        )

    def _waited(self, value: float, before: Seen, after: Seen) -> str:
        monitor, delta = self._callback.monitor, abs(self._callback.min_delta)
        no_better = reasons.not_improved(
            monitor, value, before.best, before.best_epoch, min_delta=delta
        )
        return f"{no_better}; {reasons.waits(after.wait, self._callback.patience)}"

    def _cause(self, value: float, after: Seen) -> str | None:
        """Return why it stopped, where that was not patience."""
        callback = self._callback
        monitor, lower = callback.monitor, callback.mode == "min"
        if callback.check_finite and value - value != 0:
            return reasons.not_finite(monitor, value)
        target, bound = callback.stopping_threshold, callback.divergence_threshold
        if target is not None and (value < target if lower else value > target):
            return reasons.threshold_reached(monitor, value, target)
        if bound is not None and (value > bound if lower else value < bound):
            return reasons.diverged(monitor, value, bound)
        return None


def _plain(score: Any) -> float | None:
    """Return the best score; None before the first one, which is an infinity."""
    value = tracker.number(score, "best_score")
    return None if value in (float("inf"), float("-inf")) else value
