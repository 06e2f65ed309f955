"""TensorBoard: Keras' own, its log folder known to the run."""

from __future__ import annotations

from pathlib import Path

import keras

from tracker_keras.readings import steps_taken
from tracker_keras.recorded import Recorded
from tracker_keras.recording import Session


class TensorBoard(Recorded, keras.callbacks.TensorBoard):
    """Write TensorBoard event files, and tell the run where they are.

    Arguments and files are those of ``keras.callbacks.TensorBoard``, which needs TensorFlow on any
    backend. In a resumed run the batch counter goes on, rather than from 0 over the old curve.
    """

    def tracker_joined(self, session: Session) -> None:
        """Take part in a recording."""
        super().tracker_joined(session)
        folder = self.log_dir if "://" in self.log_dir else str(Path(self.log_dir).absolute())
        session.note_folder(folder)

    def tracker_resume(self, epoch: int) -> None:
        """Go on counting batches where the optimizer is."""
        self._global_train_batch = steps_taken(self.model) or 0
