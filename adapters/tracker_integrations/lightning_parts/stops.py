"""Lightning's EarlyStopping, watched: what it decided is told from its state before and after a check."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import tracker
from tracker.policies import LIGHTNING, reasons
from tracker_integrations.judged import Seen, record_check
from tracker_integrations.lightning_parts.kinds import settings
from tracker_integrations.recording import Recording

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
        min_epochs: the Trainer's, before which no stop takes effect.
    """

    def __init__(
        self, recording: Recording, callback: Any, key: int, min_epochs: int | None = None
    ) -> None:
        self._recording, self._callback = recording, callback
        config = settings(callback, SETTINGS)
        config["min_epochs"] = min_epochs or 0
        # Lightning keeps it with the sign that it is subtracted by.
        config["min_delta"] = abs(config["min_delta"])
        self._policy = recording.policy(
            ("EarlyStopping", key),
            "EarlyStopping",
            monitor=callback.monitor,
            config=config,
            rules=LIGHTNING,
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
        best = _best(self._callback)
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
            _best(callback),
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
        why = self._cause(number) if signalled and wait == before.wait else None
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

    def _cause(self, value: float) -> str | None:
        """Return why it stopped at once; None where it was patience, which counts the check."""
        callback = self._callback
        monitor, target = callback.monitor, callback.stopping_threshold
        if callback.check_finite and not math.isfinite(value):
            return reasons.not_finite(monitor, value)
        if target is not None and (value <= target if callback.mode == "min" else value >= target):
            return reasons.threshold_reached(monitor, value, target)
        if callback.divergence_threshold is not None:
            return reasons.diverged(monitor, value, callback.divergence_threshold)
        return None


def _best(callback: Any) -> float | None:
    """Return its best score; None before the first one, which is the worst infinity."""
    value = tracker.number(callback.best_score, "best_score")
    return None if value == (math.inf if callback.mode == "min" else -math.inf) else value
