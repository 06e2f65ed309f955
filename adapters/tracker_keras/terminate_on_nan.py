"""TerminateOnNaN: Keras' own, the stop recorded."""

from __future__ import annotations

import keras

from tracker.policies import words
from tracker_keras.readings import number
from tracker_keras.recorded import Logs, Recorded


class TerminateOnNaN(Recorded, keras.callbacks.TerminateOnNaN):
    """Stop training at a batch whose loss is NaN or infinite; the run keeps which one.

    Arguments and messages are those of ``keras.callbacks.TerminateOnNaN``. The stop is a decision;
    with ``raise_error=True`` the run fails with the error's text.
    """

    kind = "TerminateOnNaN"

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the loss of one batch."""
        had_stopped = self._stops()
        try:
            super().on_batch_end(batch, logs)
        except RuntimeError:
            self._write(batch, logs)
            raise
        if self._stops() and not had_stopped:
            self._write(batch, logs)

    def _stops(self) -> bool:
        return bool(getattr(self._model, "stop_training", False))

    def _write(self, batch: int, logs: Logs) -> None:
        value, session = number((logs or {}).get("loss")), self._session
        if session is None or session.epochs.current is None or value is None:
            return
        reason = words.loss_not_finite("loss", value, batch)
        session.stopped(reason)
        self.decided("stopped", epoch=session.epochs.current, reason=reason, value=value, state={})
