"""Step metrics as lines of text, column by column: as rows of Python objects they take three times as long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tracker.exports.cells import iso

if TYPE_CHECKING:
    from tracker.exports.stream import RunPoints
    from tracker.series.assemble import Columns

_AT_ONCE = 65_536
"""Points that are text at one time."""


def lines(
    points: RunPoints,
    head: Callable[[str, str], str],
    line: Callable[[str, Iterable[tuple[int, str, str]]], Iterator[str]],
    special: Callable[[float], str],
) -> Iterator[list[str]]:
    """Yield lines, some thousand at a time.

    Args:
        points: of a run.
        head: makes of the names of a run and a metric what its lines begin with.
        line: makes lines of such a beginning, and of steps, times and values as text.
        special: how a value is written that is not finite.
    """
    for piece in points.pieces:
        columns = piece.columns
        for first, last in _parts(columns):
            here = slice(first, last)
            begin = head(points.run, piece.names[int(columns.name[first])])
            cells = zip(
                columns.step[here].tolist(),
                _times(columns.time[here]),
                _values(columns.value[here], special),
                strict=True,
            )
            yield list(line(begin, cells))


def _parts(columns: Columns) -> Iterator[tuple[int, int]]:
    """Yield the bounds of parts of one metric each."""
    import numpy as np

    changes = (np.flatnonzero(np.diff(columns.name)) + 1).tolist()
    for first, last in pairwise([0, *changes, len(columns.name)]):
        for start in range(first, last, _AT_ONCE):
            yield start, min(start + _AT_ONCE, last)


_YEAR_1, _YEAR_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000


def _times(times: Any) -> list[str]:
    """Write times as `iso` does, many at once."""
    import numpy as np

    if len(times) and not (times.min() >= _YEAR_1 and times.max() < _YEAR_10000):
        return [iso(time) for time in times.tolist()]
    return [
        f"{text}+00:00" for text in np.datetime_as_string(times.view("M8[us]"), unit="us").tolist()
    ]


def _values(values: Any, special: Callable[[float], str]) -> list[str]:
    import numpy as np

    texts = list(map(repr, values.tolist()))
    for place in np.flatnonzero(~np.isfinite(values)).tolist():
        texts[place] = special(float(values[place]))
    return texts
