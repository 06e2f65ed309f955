"""TerminateOnNaN: ends training at the first batch whose loss is not a finite number."""

from __future__ import annotations

import math

from tracker import policies
from tracker_torch.callback import Callback, Logs


class TerminateOnNaN(Callback):
    """Stop when a batch's ``loss`` is NaN or infinite.

    It looks at the loss of every batch, and so waits for the device at every batch;
    ``EarlyStopping(check_finite=True)`` looks once per epoch.

    Args:
        raise_error: raise RuntimeError instead of stopping, so that no ``on_train_end`` is called
            and a backup stays.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Register with the run."""
        self.join(config={"raise_error": self.raise_error})

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss.

        Raises:
            RuntimeError: with ``raise_error``, where it is not finite.
        """
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss) or self.loop.stop_training:
            return
        reason = policies.reasons.loss_not_finite("loss", loss, batch)
        self.decide("stopped", reason=reason, epoch=self.loop.epoch, value=loss)
        if self.raise_error:
            raise RuntimeError(
                f"NaN or Inf loss encountered at batch {batch}. "
                f"Loss value: {loss}. Terminating training immediately."
            )
        self.loop.say(f"Batch {batch}: Invalid loss, terminating training")
        self.loop.stop(reason)
