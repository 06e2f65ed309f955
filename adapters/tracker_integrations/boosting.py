"""What XGBoost, LightGBM and CatBoost have in common: rounds, and an early stopping that counts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tracker
from tracker.policies import reasons
from tracker_integrations.judged import Seen, record_check
from tracker_integrations.recording import Recording, Start


class Rounds:
    """The boosting rounds of one training, and the run that they are recorded in.

    A round is a step, which costs a microsecond. As an epoch it also costs a transaction: it is durable at once,
    each check of early stopping is a decision, and `tracker.replay` tries other patiences.

    Args:
        who: the class that users know, for messages.
        start: what a run is started with.
        epochs: whether each round is an epoch as well.
        **options: for `Recording`.
    """

    def __init__(self, who: str, start: Start, *, epochs: bool, **options: Any) -> None:
        self.recording = Recording(who, start, **options)
        self._epochs = epochs
        self._seen: dict[tracker.Policy, Seen] = {}
        self._last: dict[tracker.Policy, dict[str, Any]] = {}

    def log(self, number: int, metrics: Mapping[str, Any]) -> None:
        """Record what was evaluated after a round, by its 0-based number."""
        self.recording.log(metrics, number)
        if self._epochs:
            self.recording.log_epoch(number, metrics, step=number + 1)

    def judged(
        self,
        policy: tracker.Policy,
        number: int,
        value: float,
        after: Seen,
        *,
        patience: int,
        min_delta: float = 0.0,
        stopped: bool = False,
        before: Seen | None = None,
    ) -> None:
        """Take a check of early stopping: recorded now where rounds are epochs, else the last one at the end."""
        facts: dict[str, Any] = {
            "before": before or self._seen.get(policy, Seen()), "after": after, "epoch": number, "value": value,
            "step": number + 1, "patience": patience, "min_delta": min_delta, "stopped": stopped,
        }  # fmt: skip
        self._seen[policy] = after
        if self._epochs or stopped:
            self._last.pop(policy, None)
            record_check(self.recording, policy, **facts)
        else:
            self._last[policy] = facts

    def end(self) -> None:
        """Record the last check of each early stopping that did not stop the training, and end the run."""
        for policy, facts in self._last.items():
            record_check(self.recording, policy, **facts)
        self._last.clear()
        self.recording.end()

    def kept_best(
        self, policy: tracker.Policy, number: int, best: float | None, at: int | None
    ) -> None:
        """Record that the model was cut back to its best round."""
        monitor = policy.monitor or ""
        reason = reasons.restored(monitor, best, at, "model of round")
        self.recording.decide(
            policy,
            "restored",
            epoch=number,
            step=number + 1,
            reason=reason,
            best=best,
            best_epoch=at,
        )
