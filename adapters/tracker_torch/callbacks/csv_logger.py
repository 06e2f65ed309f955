"""CSVLogger: a row an epoch, in Keras' format."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracker import save_file
from tracker_torch.callback import Callback, Logs
from tracker_torch.loop import distributed
from tracker_torch.loop.loop import UNWRITABLE

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
        self._missed = self._warned = False
        self._next = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin the file, or go on with the one that is there."""
        first = distributed.share(self.run.first_epoch)
        if not self.loop.main:
            return
        self.filename.parent.mkdir(parents=True, exist_ok=True)
        self._missed, self._next = False, first
        self.columns, rows = self._read(cut=first > 0) if self.append or first else ([], [])
        if first:
            rows = _before(rows, first)
            rows = self._with_lost(rows, range(_epoch(rows[-1]) + 1 if rows else 0, first))
        self._write_all(rows)

    def _with_lost(self, rows: list[dict[str, str]], epochs: range) -> list[dict[str, str]]:
        """Add rows of ``epochs`` that were recorded but are not written here: a kill or a disk came first."""
        for epoch in epochs:
            if (metrics := self.run.recorded_epoch(epoch)) is not None:
                rows = [*rows, self._row(epoch, {name: metrics[name] for name in sorted(metrics)})]
                self.columns += [name for name in rows[-1] if name not in self.columns]
        return rows

    def _row(self, epoch: int, metrics: Mapping[str, Any]) -> dict[str, str]:
        row = {name: str(value) for name, value in metrics.items()}
        if "epoch" in row and not self._warned:
            self._warned = True
            self.loop.warn(
                f"the metric 'epoch' is not in {self.filename}: that column holds the number of the "
                f"epoch. Log it under another name."
            )
        return {"epoch": str(epoch)} | row | {"epoch": str(epoch)}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add a row."""
        if not self.loop.main:
            return
        row = self._row(epoch, logs or {})
        try:
            self._add(row, epoch)
            self._missed, self._next = False, epoch + 1
        except UNWRITABLE as error:
            self._missed = True
            self.loop.forgive(error, self, f"{self.filename} could not be written")

    def _add(self, row: dict[str, str], epoch: int) -> None:
        late = sorted(row.keys() - set(self.columns), key=lambda name: (name != "epoch", name))
        if not late and not self._missed:
            with self.filename.open("a", newline="", encoding="utf-8") as file:
                file.write(self._text([row]))
            return
        there, rows = self._read()
        self.columns = there or self.columns
        if self._missed:
            rows = self._with_lost(rows, range(self._next if rows else 0, epoch))
        self.columns = [*self.columns, *(name for name in late if name not in self.columns)]
        self._write_all([*rows, row])

    def _read(self, *, cut: bool = False) -> tuple[list[str], list[dict[str, str]]]:
        """Return columns and rows.

        A last line without an end is left out where a kill may have ``cut`` it, or cells are missing.
        """
        if not self.filename.is_file():
            return [], []
        text = self.filename.read_text(encoding="utf-8")
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=self.sep))
        if lines and not text.endswith("\n") and (cut or len(lines[-1]) < len(lines[0])):
            lines.pop()
        columns = lines[0] if lines else []
        return columns, [dict(zip(columns, cells, strict=False)) for cells in lines[1:]]

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
