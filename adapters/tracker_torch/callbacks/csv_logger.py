"""CSVLogger: one row per epoch, in Keras' format."""

from __future__ import annotations

from pathlib import Path

from tracker import CSVLog
from tracker_torch.callback import Callback, Logs
from tracker_torch.loop import distributed
from tracker_torch.loop.notices import UNWRITABLE


class CSVLogger(Callback):
    """Write ``epoch`` (0-based) and every metric, sorted by name; NA where an epoch lacks one.

    A metric that comes later adds a column at the end; earlier rows get NA there, and the file is
    replaced in one move. A resumed run continues below its own rows: those of epochs that are trained
    again are taken out.

    Args:
        filename: folders are created.
        separator: between columns.
        append: keep the rows of earlier training runs; a header that differs becomes the union.
    """

    order = 2

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        self.filename = Path(filename).expanduser()
        self.sep = separator
        self.append = append
        self._log = CSVLog(self.filename, separator)
        self._missed = self._warned = False
        self._next = 0

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return self._log.columns

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin the file, or continue the existing one."""
        first = distributed.share(self.run.first_epoch)
        if not self.loop.main:
            return
        self.filename.parent.mkdir(parents=True, exist_ok=True)
        self._missed, self._next = False, first
        log = self._log = CSVLog(self.filename, self.sep)
        rows = log.read(torn=first > 0) if self.append or first else []
        if first:
            rows = log.resumed(rows, first, self.run.recorded_epoch, shared=self.append)
            log.columns += log.new_columns(rows)
        log.write(rows)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add a row."""
        if not self.loop.main:
            return
        row = self._log.row(epoch, logs or {})
        if "epoch" in (logs or {}) and not self._warned:
            self._warned = True
            self.loop.warn(
                f"the metric 'epoch' is not in {self.filename}: that column holds the number of the "
                f"epoch. Log it under another name."
            )
        try:
            self._add(row, epoch)
            self._missed, self._next = False, epoch + 1
        except UNWRITABLE as error:
            self._missed = True
            self.loop.forgive(error, self, f"{self.filename} could not be written")

    def _add(self, row: dict[str, str], epoch: int) -> None:
        log = self._log
        if not self._missed and not log.new_columns([row]):
            log.append(row)
            return
        rows = log.read()
        if self._missed:
            epochs = range(self._next if rows else 0, epoch)
            rows = log.with_recorded(rows, epochs, self.run.recorded_epoch)
        rows.append(row)
        log.columns += log.new_columns(rows)
        log.write(rows)
