"""CSV, as `csv` of the standard library writes it and pandas reads it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import StringIO
from typing import IO, Any

import numpy

from tracker.exports.cells import csv_cell, quote_formula
from tracker.exports.point_lines import lines
from tracker.exports.stream import RunPoints, Stream
from tracker.queries.result import metric_titles


def write_csv(
    stream: Stream, file: IO[str], *, raw: bool = False, step: Callable[[], object] | None = None
) -> None:
    """Write a stream; ``step`` is called after each chunk."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([name if raw else quote_formula(name) for name in stream.names])
    columns = stream.columns
    for chunk in stream.chunks:
        if isinstance(chunk, RunPoints):
            _write_points(chunk, file, raw)
            if step is not None:
                step()
            continue
        writer.writerows(
            [csv_cell(value, column, raw=raw) for value, column in zip(row, columns, strict=True)]
            for row in chunk
        )
        if step is not None:
            step()


def _write_points(points: RunPoints, file: IO[str], raw: bool) -> None:
    def head(run: str, name: str) -> str:
        text = StringIO()
        cells = [run, name] if raw else [quote_formula(run), quote_formula(name)]
        csv.writer(text, lineterminator="\n").writerow(cells)
        return f"{text.getvalue()[:-1]},"

    def line(begin: str, cells: Iterable[tuple[int, str, str]]) -> Iterator[str]:
        return (f"{begin}{step},{time},{value}\n" for step, time, value in cells)

    for some in lines(points, head, line, repr):
        file.write("".join(some))


def history_rows(
    history: Sequence[dict[str, Any]],
    *,
    padded: bool = False,
    types: Mapping[str, str] | None = None,
) -> Iterator[list[Any]]:
    """Yield header and rows of a run's epochs as ``CSVLogger`` writes them: ``epoch``, then its metrics.

    The header has the sorted names of the first epoch, then those that come later; what an epoch lacks is
    "NA". A metric called ``epoch`` has the column ``metrics.epoch``.

    Args:
        history: as `tracker.queries.history` returns it.
        padded: if no name of the first epoch begins with ``val_``, repeat each with ``val_`` in front. Keras
            3.15 does so, and drops names that come later.
        types: of metrics that were logged as something else than a float: "int", "bool", or a type of NumPy.
    """
    names = sorted(history[0]["metrics"]) if history else []
    if padded and not any(name.startswith("val_") for name in names):
        names += [f"val_{name}" for name in names]
    names = list(dict.fromkeys([*names, *(name for epoch in history for name in epoch["metrics"])]))
    titles = metric_titles(names, ["epoch"])
    yield ["epoch", *(titles[name] for name in names)]
    for epoch in history:
        metrics = epoch["metrics"]
        kinds = types or {}
        cells = (_as_logged(metrics.get(name, "NA"), kinds.get(name)) for name in names)
        yield [epoch["epoch"], *cells]


def _as_logged(value: Any, kind: str | None) -> Any:
    """Return a recorded float in the type that it was logged in."""
    if kind is None or not isinstance(value, float):
        return value
    if kind in ("float32", "float16"):
        return str(getattr(numpy, kind)(value))
    if not value.is_integer():
        return value
    return bool(value) if kind == "bool" else int(value)


def write_history_csv(
    history: Sequence[dict[str, Any]],
    file: IO[str],
    *,
    padded: bool = False,
    types: Mapping[str, str] | None = None,
    raw: bool = False,
) -> None:
    r"""Write the rows of `history_rows`, with CSVLogger's line ends (``\r\n``)."""
    writer = csv.writer(file, dialect="excel")
    for number, row in enumerate(history_rows(history, padded=padded, types=types)):
        writer.writerow([name if raw or number else quote_formula(str(name)) for name in row])
