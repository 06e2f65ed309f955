"""CSVLogger: a row an epoch, in Keras' format."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from tracker import save_file
from tracker_torch import distributed
from tracker_torch.callback import Callback, Logs

MISSING = "NA"


class CSVLogger(Callback):
    """Write ``epoch`` (0-based) and every metric, sorted by name; NA where an epoch lacks one.

    A metric that comes later adds a column at the end; earlier rows get NA there, and the file is
    replaced in one move. A resumed run goes on below its own rows: those of epochs that are trained
    again are taken out.

    Args:
        filename: folders are made.
        separator: between columns.
        append: keep the rows of earlier trainings; a header that differs becomes the union.
    """

    order = 2

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        self.filename = Path(filename)
        self.sep = separator
        self.append = append
        self.columns: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin the file, or go on with the one that is there."""
        first = distributed.share(self.run.first_epoch)
        if not self.loop.main:
            return
        self.filename.parent.mkdir(parents=True, exist_ok=True)
        self.columns, rows = self._read() if self.append or first else ([], [])
        if first:
            rows = self._with_lost(_before(rows, first), first)
        self._write_all(rows)

    def _with_lost(self, rows: list[dict[str, str]], first: int) -> list[dict[str, str]]:
        """Add rows of epochs that were recorded when a kill came before they were written here."""
        last = _epoch(rows[-1]) if rows else -1
        for epoch in self.run.epochs_done():
            if last < epoch < first:
                metrics = self.run.recorded_epoch(epoch) or {}
                row = {
                    "epoch": str(epoch),
                    **{name: str(metrics[name]) for name in sorted(metrics)},
                }
                self.columns += [name for name in row if name not in self.columns]
                rows = [*rows, row]
        return rows

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add a row."""
        if not self.loop.main:
            return
        row = {"epoch": str(epoch), **{name: str(value) for name, value in (logs or {}).items()}}
        late = sorted(name for name in row if name not in self.columns and name != "epoch")
        if late or not self.columns:
            rows = self._read()[1]
            self.columns = [*(self.columns or ["epoch"]), *late]
            self._write_all([*rows, row])
        else:
            with self.filename.open("a", newline="", encoding="utf-8") as file:
                file.write(self._text([row]))

    def _read(self) -> tuple[list[str], list[dict[str, str]]]:
        """Return columns and rows; a last line that a kill cut off is left out."""
        if not self.filename.is_file():
            return [], []
        text = self.filename.read_text(encoding="utf-8")
        lines = csv.reader(
            io.StringIO(text[: text.rfind("\n") + 1], newline=""), delimiter=self.sep
        )
        columns = next(lines, [])
        return columns, [dict(zip(columns, cells, strict=False)) for cells in lines]

    def _write_all(self, rows: list[dict[str, str]]) -> None:
        header = [dict(zip(self.columns, self.columns, strict=True))] if self.columns else []
        text = self._text([*header, *rows])
        save_file(self.filename, lambda path: path.write_text(text, encoding="utf-8", newline=""))

    def _text(self, rows: list[dict[str, str]]) -> str:
        buffer = io.StringIO()
        writer: Any = csv.writer(buffer, delimiter=self.sep)
        writer.writerows([row.get(name, MISSING) for name in self.columns] for row in rows)
        return buffer.getvalue()


def _before(rows: list[dict[str, str]], first: int) -> list[dict[str, str]]:
    """Drop the epochs from ``first`` on, of the training that the last rows belong to."""
    kept = list(rows)
    while kept and _epoch(kept[-1]) >= first:
        if len(kept) > 1 and _epoch(kept[-2]) >= _epoch(kept[-1]):
            return kept[:-1]
        kept.pop()
    return kept


def _epoch(row: dict[str, str]) -> int:
    try:
        return int(row.get("epoch", ""))
    except ValueError:
        return -1
