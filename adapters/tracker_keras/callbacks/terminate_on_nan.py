"""TerminateOnNaN: Keras' own, the stop recorded."""

from __future__ import annotations

import keras

from tracker.policies import reasons
from tracker_keras.session.base import Logs, Recorded
from tracker_keras.session.values import number


class TerminateOnNaN(Recorded, keras.callbacks.TerminateOnNaN):
    """Stop training at a batch whose loss is NaN or infinite; the run keeps which one.

    Arguments and messages are those of ``keras.callbacks.TerminateOnNaN``. The stop is a decision;
    with ``raise_error=True`` the run fails with the error's text.
    """

    tracker_kind = "TerminateOnNaN"

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the loss of one batch."""
        had_stopped = self._tracker_stops()
        try:
            super().on_batch_end(batch, logs)
        except RuntimeError:
            self._tracker_write(batch, logs)
            raise
        if self._tracker_stops() and not had_stopped:
            self._tracker_write(batch, logs)

    def _tracker_stops(self) -> bool:
        return bool(getattr(self._model, "stop_training", False))

    def _tracker_write(self, batch: int, logs: Logs) -> None:
        value, session = number((logs or {}).get("loss")), self._tracker_session
        if session is None or session.epochs.current is None or value is None:
            return
        reason = reasons.loss_not_finite("loss", value, batch)
        session.note_stop(reason)
        self.tracker_decided(
            "stopped", epoch=session.epochs.current, reason=reason, value=value, state={}
        )
