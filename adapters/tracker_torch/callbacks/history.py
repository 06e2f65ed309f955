"""History: every epoch's metrics, in memory."""

from __future__ import annotations

from typing import Any

from tracker_torch.callback import Callback, Logs
from tracker_torch.loop import distributed


class History(Callback):
    """Keeps what every epoch logged; `Training` has one in ``training.history``.

    A resumed training gets the earlier attempts' epochs back from the database; NaN stands where an
    epoch lacked a metric.

    Attributes:
        history: metric → its values.
        epoch: the 0-based numbers of the epochs.
    """

    order = 2

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin the list of epochs; in a resumed run, with those that are recorded."""
        carried, self._carried = self._carried, None
        self.epoch = []
        if carried:
            self.epoch, self.history = list(carried["epoch"]), dict(carried["history"])
        elif not self.loop.is_next_phase and distributed.share(self.run.first_epoch):
            self.epoch, self.history = distributed.share(
                (self.run.epochs_done(), self.run.history())
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Append an epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def get_state(self) -> dict[str, Any]:
        """Return the epochs so far."""
        return {"epoch": self.epoch, "history": self.history}
