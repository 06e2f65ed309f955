"""TensorBoard: Keras' own, its log folder known to the run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras

from tracker_keras.session.base import Recorded
from tracker_keras.session.session import Session


class TensorBoard(Recorded, keras.callbacks.TensorBoard):
    """Write TensorBoard event files, and tell the run where they are.

    Arguments and files are those of ``keras.callbacks.TensorBoard``, which needs TensorFlow on any
    backend. In a resumed run the batch counter continues, rather than from 0 over the old curve, and
    TensorBoard is told to drop the points that are written again.
    """

    _tracker_opened = 0

    def set_model(self, model: Any) -> None:
        """Take the model, and open the event files."""
        self._tracker_opened = int(time.time())
        super().set_model(model)

    def tracker_join(self, session: Session) -> None:
        """Take part in a recording."""
        super().tracker_join(session)
        folder = self.log_dir if "://" in self.log_dir else str(Path(self.log_dir).absolute())
        session.note_folder(folder)

    def tracker_resume(self, epoch: int) -> None:
        """Continue counting batches where the run was."""
        session = self._tracker_session
        self._global_train_batch = 0 if session is None else session.epochs.steps_before
        by_epoch = self.update_freq == "epoch"
        first = epoch if by_epoch else self._global_train_batch + 1
        _drop_from(self._train_dir, first, self._tracker_opened)
        _drop_from(self._val_dir, epoch, self._tracker_opened)


def _drop_from(folder: str, step: int, opened: int) -> None:
    """Tell TensorBoard to forget a folder's points from ``step`` on.

    It does where an event says that a session starts; TensorFlow's writers leave that out. The event
    is a file of its own: files are read in the order of their names, and ``-`` sorts before the dot
    that follows the time in the name of this training's file.
    """
    if "://" in folder or not Path(folder).is_dir():
        return
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.summary.writer.record_writer import RecordWriter

    path = Path(folder) / f"events.out.tfevents.{opened:010d}-start"
    with path.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(file_version="brain.Event:2", wall_time=opened).SerializeToString())
        start = Event(
            wall_time=opened, step=step, session_log=SessionLog(status=SessionLog.START)
        ).SerializeToString()
        writer.write(start)  # the first one that TensorBoard meets is taken for the beginning
        writer.write(start)
