"""BaseLogger: averages over an epoch, as Keras 2 had it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracker.policies import averages
from tracker_keras.session.base import Logs, Recorded
from tracker_keras.session.values import number


class BaseLogger(Recorded):
    """Put the epoch's average of each batch metric into its logs.

    Keras 3 dropped it: its batch logs are averages over the epoch so far already. Those (the
    model's own metrics) are left as they are; what else a custom training step or a loop of your
    own hands to ``on_train_batch_end`` is averaged, each batch weighted by ``logs["size"]`` times
    ``logs["num_steps"]``, 1 by default (these two and ``batch`` are not metrics).

    Args:
        stateful_metrics: names that are not averaged; the last value counts.
    """

    def __init__(self, stateful_metrics: Iterable[str] | None = None) -> None:
        super().__init__()
        self.stateful_metrics = set(stateful_metrics or [])
        self.seen = 0.0
        self.totals: dict[str, float] = {}

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start to count."""
        self.seen = 0.0
        self.totals = {}
        super().on_epoch_begin(epoch, logs)

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Add one batch."""
        logs = logs or {}
        weight = averages.weight_of(logs)
        if not weight:
            return
        self.seen += weight
        for name, value in logs.items():
            plain = number(value)
            if plain is None or name in averages.BOOKKEEPING:
                continue
            if name in self.stateful_metrics:
                self.totals[name] = plain
            else:
                self.totals[name] = self.totals.get(name, 0.0) + plain * weight

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Put the averages into the logs, for the callbacks that come after."""
        if logs is not None and self.seen:
            self._tracker_average(logs)
        super().on_epoch_end(epoch, logs)

    def _tracker_average(self, logs: dict[str, Any]) -> None:
        averaged_by_keras = self._tracker_own_metrics()
        named = (self.params or {}).get("metrics")
        for name in self.totals if named is None else named:
            if name in self.stateful_metrics and name in self.totals:
                logs[name] = self.totals[name]
            elif name in self.totals and name not in averaged_by_keras:
                logs[name] = self.totals[name] / self.seen

    def _tracker_own_metrics(self) -> set[str]:
        read = getattr(self.model, "get_metrics_result", None)
        return set() if read is None else set(read())
