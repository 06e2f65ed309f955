"""LearningRateScheduler: Keras' own, what it sets recorded."""

from __future__ import annotations

import keras

from tracker.policies import reasons
from tracker_keras.session.base import Logs, Recorded
from tracker_keras.session.values import learning_rate


class LearningRateScheduler(Recorded, keras.callbacks.LearningRateScheduler):
    """Set the learning rate of each epoch: the function decides, the run keeps before and after.

    Arguments, attributes and messages are those of ``keras.callbacks.LearningRateScheduler``. Each
    epoch is a decision: scheduled. In a resumed run the function is handed the learning rate that
    it had set last.
    """

    tracker_kind = "LearningRateScheduler"

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set the learning rate of this epoch."""
        before = learning_rate(self.model)
        super().on_epoch_begin(epoch, logs)
        after = learning_rate(self.model)
        # Of several optimizers the epoch's metrics have the rates.
        if before is None or after is None:
            return
        self.tracker_decided(
            "scheduled",
            epoch=epoch,
            reason=reasons.scheduled(epoch, before, after),
            lr_before=before,
            lr_after=after,
            state={"lr": after},
        )
