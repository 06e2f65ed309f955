"""CSVLogger: Keras' own, and it keeps what comes late."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import keras

import tracker
from tracker_keras.session.base import Logs, Recorded

MISSING = "NA"


class CSVLogger(Recorded, keras.callbacks.CSVLogger):
    """Write a row an epoch to a CSV file, in Keras' format.

    Arguments, header and rows are those of ``keras.callbacks.CSVLogger``. A metric that first
    appears in a later epoch becomes a column at the end, with NA in the rows before; Keras drops
    it. With ``append=True`` values go under the columns of the file, where Keras writes them in its
    own order whatever the header says. In a resumed run the file goes on without a seam.

    Raises:
        tracker.UsageError: at train begin, with ``append=True``, for a file that is no CSVLogger's.
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
        if late and Path(self.filename).is_file():  # neither a bucket nor /dev/stdout
            header, rows = self._tracker_read()
            filled = [row + [MISSING] * (len(header) - len(row) + len(late)) for row in rows]
            self._tracker_write([*header, *late], filled)
        super()._tracker_judge(epoch, logs)

    def tracker_resume(self, epoch: int) -> None:
        """Go on in the file of the attempt before: without rows to be repeated, with those lost."""
        session = self._tracker_session
        if session is None or not self._tracker_continues():
            return
        header, rows = self._tracker_read(whole=True)
        own = self._tracker_own_from(rows) if self.append else 0
        kept = {int(row[0]): row for row in rows[own:] if row and int(row[0]) < epoch}
        for done in session.run.epochs_done():
            metrics = session.run.recorded_epoch(done) or {}
            header = header or ["epoch", *_first_columns(metrics)]
            if done not in kept:
                found = [str(metrics.get(name, MISSING)) for name in header[1:]]
                kept[done] = [str(done), *found]
        if header:
            self._tracker_write(header, [*rows[:own], *(kept[done] for done in sorted(kept))])

    def _tracker_continues(self) -> bool:
        session, policy = self._tracker_session, self._tracker_policy
        if session is None or policy is None or not session.resuming or "://" in self.filename:
            return False
        return bool((policy.saved_config or {}).get("filename") == self.filename)

    def _tracker_own_from(self, rows: list[list[str]]) -> int:
        """Return where the rows of this run begin, behind those that were there: by their values."""
        start = len(rows)
        while start > 0 and self._tracker_is_own(rows[start - 1]):
            if start < len(rows) and int(rows[start - 1][0]) >= int(rows[start][0]):
                break
            start -= 1
        return start

    def _tracker_is_own(self, row: list[str]) -> bool:
        if self._tracker_session is None or not row or not row[0].isdigit():
            return False
        metrics = self._tracker_session.run.recorded_epoch(int(row[0])) or {}
        shared = [(cell, str(metrics[name])) for name, cell in zip(self.keys, row[1:], strict=False)
                  if name in metrics]  # fmt: skip
        return bool(shared) and all(cell == value for cell, value in shared)

    def _tracker_columns(self) -> list[str]:
        header, _ = self._tracker_read()
        if header and header[0] != "epoch":
            raise tracker.UsageError(
                f"{self.filename} was not written by a CSVLogger with separator {self.sep!r}: it "
                f"begins with {self.sep.join(header)[:60]!r}. Pass the separator it was written "
                f"with, append=False to start it anew, or another filename."
            )
        return header[1:]

    def _tracker_read(self, *, whole: bool = False) -> tuple[list[str], list[list[str]]]:
        """Read header and rows; ``whole``: without a last row that a kill has cut short."""
        path = Path(self.filename)
        if not path.exists():
            return [], []
        with path.open(newline="") as file:
            text = file.read().removeprefix("\ufeff")  # the mark that spreadsheets put first
        if whole and not text.endswith("\n"):
            text = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=self.sep))
        return (rows[0], rows[1:]) if rows else ([], [])

    def _tracker_write(self, header: list[str], rows: list[list[str]]) -> None:
        """Replace the file, whole, and go on behind its last row."""
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self.sep).writerows([header, *rows])
        if self.csv_file is not None:
            self.csv_file.close()
        tracker.save_file(  # a link stays one, and goes on pointing there
            Path(self.filename).resolve(), lambda path: path.write_text(text.getvalue(), newline="")
        )
        self.csv_file = Path(self.filename).open("a")  # noqa: SIM115 - Keras closes it
        self.keys = header[1:]
        self.writer = None
        self.append_header = False


def _first_columns(metrics: dict[str, Any]) -> list[str]:
    """Name the columns that Keras makes of a first epoch."""
    names = sorted(metrics)
    if any(name.startswith("val_") for name in names):
        return names
    return names + [f"val_{name}" for name in names]
