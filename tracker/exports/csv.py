"""CSV, as `csv` of the standard library writes it and pandas reads it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from tracker.exports.cells import csv_cell, quote_formula
from tracker.exports.stream import Stream


def write_csv(
    stream: Stream, file: IO[str], *, raw: bool = False, step: Callable[[], object] | None = None
) -> None:
    """Write a stream; ``step`` is called after each chunk."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([name if raw else quote_formula(name) for name in stream.names])
    columns = stream.columns
    for chunk in stream.chunks:
        writer.writerows(
            [csv_cell(value, column, raw=raw) for value, column in zip(row, columns, strict=True)]
            for row in chunk
        )
        if step is not None:
            step()


def keras_rows(history: Sequence[dict[str, Any]]) -> Iterator[list[Any]]:
    """Yield header and rows as Keras' CSVLogger writes them for that fit, cell for cell.

    The header is "epoch" and the sorted names of the first epoch; if none begins with ``val_``, each is
    repeated with ``val_`` in front (Keras 3.15). Names that come later, which Keras drops, follow.
    What an epoch lacks is "NA".
    """
    first = sorted(history[0]["metrics"]) if history else []
    if first and not any(name.startswith("val_") for name in first):
        first += [f"val_{name}" for name in first]
    later = {name: None for epoch in history for name in epoch["metrics"] if name not in set(first)}
    names = [*first, *later]
    yield ["epoch", *names]
    for epoch in history:
        metrics = epoch["metrics"]
        yield [epoch["epoch"], *(metrics.get(name, "NA") for name in names)]


def write_keras_csv(history: Sequence[dict[str, Any]], file: IO[str], *, raw: bool = False) -> None:
    r"""Write the rows of `keras_rows`, with CSVLogger's line ends (``\r\n``)."""
    writer = csv.writer(file, dialect="excel")
    for number, row in enumerate(keras_rows(history)):
        writer.writerow([name if raw or number else quote_formula(str(name)) for name in row])
