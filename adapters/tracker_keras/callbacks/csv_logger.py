"""CSVLogger: Keras' own, which also keeps metrics that appear late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

import tracker
from tracker_keras.session.base import Logs, Recorded
from tracker_keras.session.values import scalar


class CSVLogger(Recorded, keras.callbacks.CSVLogger):
    """Write one row per epoch to a CSV file, in Keras' format.

    Arguments, header and rows are those of ``keras.callbacks.CSVLogger``. A metric that first
    appears in a later epoch becomes a column at the end, with NA in the rows before; Keras drops
    it. A tensor of one number is written as that number; Keras raises ``TypeError``. With
    ``append=True`` values go under the columns of the file, where Keras writes them in its own order
    whatever the header says. A resumed run continues the file without a gap.

    Raises:
        tracker.UsageError: at train begin, with ``append=True``, for a file that no CSVLogger wrote.
    """

    tracker_kind = "CSVLogger"
    tracker_settings = ("filename", "sep", "append")
    filename: str
    append: bool
    csv_file: Any

    def _tracker_begin(self, logs: Logs) -> None:
        goes_on = self._tracker_continues()
        appends, columns = self.append, list[str]()
        if "://" not in self.filename and (appends or goes_on):
            columns = self._tracker_columns()
        if not appends and not goes_on:
            self.append_header = True
        self.append = appends or goes_on
        try:
            super()._tracker_begin(logs)
        finally:
            self.append = appends
        if columns:
            self.keys = columns

    def _tracker_judge(self, epoch: int, logs: Logs) -> None:
        late = sorted(name for name in logs or {} if name not in (self.keys or [name]))
        # Neither a bucket nor /dev/stdout can be written again.
        if late and Path(self.filename).is_file():
            log = self._tracker_log()
            rows = log.read()
            log.columns += late
            self._tracker_replace(log, rows)
        # Keras iterates over tensors, and those of one number cannot be iterated over.
        super()._tracker_judge(epoch, {name: scalar(value) for name, value in (logs or {}).items()})

    def tracker_resume(self, epoch: int) -> None:
        """Continue the file of the attempt before: without rows to be repeated, with those lost."""
        session = self._tracker_session
        if session is None or not self._tracker_continues():
            return
        log, recorded = self._tracker_log(), session.run.recorded_epoch
        rows = log.resumed(log.read(torn=True), epoch, recorded, shared=self.append)
        if rows and not log.columns:
            log.columns = ["epoch", *_first_columns([name for name in rows[0] if name != "epoch"])]
        if log.columns:
            self._tracker_replace(log, rows)

    def _tracker_continues(self) -> bool:
        session, policy = self._tracker_session, self._tracker_policy
        if session is None or policy is None or not session.resuming or "://" in self.filename:
            return False
        return bool((policy.saved_config or {}).get("filename") == self.filename)

    def _tracker_columns(self) -> list[str]:
        log = self._tracker_log()
        log.read()
        if log.columns and log.columns[0] != "epoch":
            raise tracker.UsageError(
                f"{self.filename} was not written by a CSVLogger with separator {self.sep!r}: it "
                f"begins with {self.sep.join(log.columns)[:60]!r}. Pass the separator it was written "
                f"with, append=False to start it anew, or another filename."
            )
        return log.columns[1:]

    def _tracker_log(self) -> tracker.CSVLog:
        """Return the file's contents in the encoding that Keras writes: the locale's."""
        return tracker.CSVLog(self.filename, self.sep, encoding=None)

    def _tracker_replace(self, log: tracker.CSVLog, rows: list[dict[str, str]]) -> None:
        """Replace the file, whole, and let Keras continue behind its last row."""
        if self.csv_file is not None:
            self.csv_file.close()
        log.write(rows)
        self.csv_file = log.path.open("a")
        self.keys = log.columns[1:]
        self.writer = None
        self.append_header = False


def _first_columns(metrics: list[str]) -> list[str]:
    """Name the columns that Keras makes of a first epoch."""
    names = sorted(metrics)
    if any(name.startswith("val_") for name in names):
        return names
    return names + [f"val_{name}" for name in names]
