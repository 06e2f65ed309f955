"""A CSV file with one row per epoch, in Keras' format, that survives kills, late metrics and resumed runs."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tracker.files import save_file

MISSING = "NA"
"""What is written where an epoch lacks a metric."""

Row = dict[str, str]
Recorded = Callable[[int], Mapping[str, Any] | None]
"""Returns the metrics that are recorded of an epoch; None where none are."""


class CSVLog:
    """The columns and rows of one file; the column ``epoch`` holds 0-based numbers.

    Args:
        path: of the file; where it is a link, the file that it points to is written.
        separator: between cells.
        encoding: of the text; None for the locale's.

    Attributes:
        columns: the names of the columns, in order.
    """

    def __init__(
        self, path: str | os.PathLike[str], separator: str = ",", *, encoding: str | None = "utf-8"
    ) -> None:
        self.path = Path(path)
        self.separator = separator
        self.encoding = encoding
        self.columns: list[str] = []

    def read(self, *, torn: bool = False) -> list[Row]:
        """Return the rows, and take the columns over; a file without any leaves them as they are.

        Args:
            torn: whether a kill may have cut a last line without an end: then it is left out. Else it is
                only where cells are missing.
        """
        if not self.path.is_file():
            return []
        # Spreadsheets put a byte order mark first.
        text = self.path.read_text(encoding=self.encoding).removeprefix("\ufeff")
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=self.separator))
        if lines and not text.endswith("\n") and (torn or len(lines[-1]) < len(lines[0])):
            lines.pop()
        if lines:
            self.columns = lines[0]
        return [dict(zip(self.columns, cells, strict=False)) for cells in lines[1:]]

    def row(self, epoch: int, metrics: Mapping[str, Any]) -> Row:
        """Return the cells of an epoch; a metric that is named ``epoch`` is not among them."""
        cells = {name: str(value) for name, value in metrics.items()}
        return {"epoch": str(epoch)} | cells | {"epoch": str(epoch)}

    def new_columns(self, rows: Iterable[Row]) -> list[str]:
        """Return the names in rows that are not columns yet: ``epoch`` first, those of a row sorted."""
        names: dict[str, None] = {}
        for row in rows:
            names |= dict.fromkeys(sorted(row, key=lambda name: (name != "epoch", name)))
        return [name for name in names if name not in self.columns]

    def append(self, row: Row) -> None:
        """Write a row at the end of the file."""
        with self.path.open("a", newline="", encoding=self.encoding) as file:
            file.write(self._text([row]))

    def write(self, rows: Iterable[Row]) -> None:
        """Replace the file, header included, in one move."""
        header = [dict(zip(self.columns, self.columns, strict=True))] if self.columns else []
        text = self._text([*header, *rows])
        save_file(
            self.path.resolve(),
            lambda path: path.write_text(text, encoding=self.encoding, newline=""),
        )

    def _text(self, rows: Iterable[Row]) -> str:
        buffer = io.StringIO()
        writer = csv.writer(buffer, delimiter=self.separator)
        writer.writerows([row.get(name, MISSING) for name in self.columns] for row in rows)
        return buffer.getvalue()

    def with_recorded(
        self, rows: list[Row], epochs: Iterable[int], recorded: Recorded
    ) -> list[Row]:
        """Return the rows and, behind them, those of ``epochs`` that are recorded."""
        known = [(epoch, recorded(epoch)) for epoch in epochs]
        return [
            *rows,
            *(self.row(epoch, metrics) for epoch, metrics in known if metrics is not None),
        ]

    def resumed(
        self, rows: list[Row], first: int, recorded: Recorded, *, shared: bool
    ) -> list[Row]:
        """Return what a run has in its file when it resumes at the epoch ``first``.

        Rows of epochs that are trained again are left out, and those that a kill kept from being written
        are put back in.

        Args:
            rows: those of the file.
            first: the epoch at which the run resumes.
            recorded: returns what is recorded of an epoch of this run.
            shared: whether rows of earlier training runs may come first; they are told apart by their
                values and stay.
        """
        start = self._start_of_own(rows, recorded) if shared else 0
        own = {epoch_of(row): row for row in rows[start:]}
        missing = self.with_recorded([], (n for n in range(first) if n not in own), recorded)
        own |= {epoch_of(row): row for row in missing}
        return [*rows[:start], *(own[epoch] for epoch in sorted(own) if 0 <= epoch < first)]

    def _start_of_own(self, rows: list[Row], recorded: Recorded) -> int:
        """Return where the last rows begin that rise and hold what is recorded."""
        start = len(rows)
        while start > 0 and _agrees(rows[start - 1], recorded):
            if start < len(rows) and epoch_of(rows[start - 1]) >= epoch_of(rows[start]):
                break
            start -= 1
        return start


def epoch_of(row: Row) -> int:
    """Return the number of a row's epoch; -1 where it has none."""
    try:
        return int(row.get("epoch", ""))
    except ValueError:
        return -1


def _agrees(row: Row, recorded: Recorded) -> bool:
    """Say whether a row holds values of the epoch that are recorded, and no others."""
    epoch = epoch_of(row)
    metrics = (recorded(epoch) if epoch >= 0 else None) or {}
    shared = [(row[name], value) for name, value in metrics.items() if name in row]
    return bool(shared) and all(_shows(cell, value) for cell, value in shared)


_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|inf|nan)", re.IGNORECASE)
_NARROW = (("f", 9), ("e", 5))
"""Types with fewer bits, as `struct` names them, and the most digits that tell their values apart."""


def _shows(cell: str, recorded: float) -> bool:
    """Say whether a cell shows a recorded number: in the type that it was logged in, or as an array of it."""
    text = cell.strip().replace("True", "1").replace("False", "0")
    found = _NUMBER.search(text)
    if found is None:
        return False
    shown = float(found.group())
    if shown == recorded or (math.isnan(shown) and math.isnan(recorded)):
        return True
    digits = len(re.sub(r"e.*|\D", "", found.group().lower()).lstrip("0"))
    # A tensor shows four decimals, and a bfloat16 six digits, whatever the number is.
    if found.group() != text or 6 <= digits <= 9:
        return shown == float(f"{recorded:.{max(1, digits)}g}") or _is_narrow(shown, recorded, 9)
    return _is_narrow(shown, recorded, digits)


def _is_narrow(shown: float, recorded: float, digits: int) -> bool:
    """Say whether both are the same number of a type with fewer bits, shown with so many digits."""
    return any(
        digits <= most and recorded == _narrowed(recorded, kind) == _narrowed(shown, kind)
        for kind, most in _NARROW
    )


def _narrowed(value: float, kind: str) -> float | None:
    try:
        narrowed: float = struct.unpack(kind, struct.pack(kind, value))[0]
    except OverflowError:
        return None
    return narrowed
