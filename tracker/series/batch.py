"""Calls of ``log`` turned into arrays: a column for each name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tracker.errors import BadValue
from tracker.series.deferred import Deferred, fetch
from tracker.values import name_text

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LAST_STEP = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one name in a batch, and which calls had it (``rows``; None: every one)."""

    name: str
    rows: Ints | None
    values: Floats


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive calls of ``log``: steps and times (µs since 1970), and a column for each name."""

    steps: Ints
    times: Ints
    columns: list[Column]

    @property
    def calls(self) -> int:
        """The number of calls."""
        return len(self.steps)

    @property
    def points(self) -> int:
        """The number of values."""
        return sum(len(column.values) for column in self.columns)

    @property
    def numbers(self) -> int:
        """How many numbers of 8 bytes it holds: values, steps and times, and rows where names differ."""
        rows = sum(len(column.rows) for column in self.columns if column.rows is not None)
        return self.points + rows + 2 * self.calls


class Calls(NamedTuple):
    """Calls as they were made: their steps, their times in seconds since 1970, their values."""

    steps: Sequence[int]
    seconds: Sequence[float]
    values: Sequence[dict[str, Any]]

    @property
    def numbers(self) -> int:
        """About how many numbers of 8 bytes they are once they are packed."""
        return 2 * len(self.steps) + sum(map(len, self.values))


class Lost(NamedTuple):
    """How many values could not be taken, and why the first of them could not."""

    points: int
    why: str | None


def pack(calls: Calls) -> tuple[Batch, Lost]:
    """Turn calls into arrays, and read what is still on a device.

    The dicts are the packer's own: values on a device are replaced by numbers in them.
    """
    lost = Lost(0, None)
    steps = np.array(calls.steps, dtype=np.int64)
    seconds = np.fromiter(calls.seconds, np.float64, len(calls.seconds))
    try:
        columns = _columns(calls.values)
    # A Deferred is not a number; a name may not have a text.
    except Exception:
        nameless, unread = _without_text(calls.values), _read(calls.values)
        lost = Lost(nameless.points + unread.points, nameless.why or unread.why)
        columns = _columns(calls.values)
    return Batch(steps, np.rint(seconds * 1e6).astype(np.int64), columns), lost


def _columns(values: Sequence[dict[str, Any]]) -> list[Column]:
    names = list(values[0]) if values else []
    if set(map(len, values)) == {len(names)}:
        try:
            columns = _same_columns(names, values, None)
        except KeyError:
            return _mixed_columns(values)
        if len({column.name for column in columns}) == len(names):
            return columns
    return _mixed_columns(values)


def _same_columns(
    names: Sequence[str], values: Sequence[dict[str, Any]], rows: Ints | None
) -> list[Column]:
    """Pack calls that have the same names, in whatever order."""
    if not names:
        return []
    rows_of_values: Iterable[Any] = map(itemgetter(*names), values)
    flat = rows_of_values if len(names) == 1 else chain.from_iterable(rows_of_values)
    table = np.fromiter(flat, np.float64, len(values) * len(names)).reshape(-1, len(names))
    columns = np.ascontiguousarray(table.T)
    return [Column(name_text(n), rows, c) for n, c in zip(names, columns, strict=True)]


def _mixed_columns(values: Sequence[dict[str, Any]]) -> list[Column]:
    """Pack calls of different names: those of the same names together, then merged by name."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, names in enumerate(map(tuple, values)):
        groups.setdefault(names, []).append(row)
    parts: dict[str, list[Column]] = {}
    for names, rows in groups.items():
        group = [values[row] for row in rows]
        for column in _same_columns(names, group, np.array(rows, dtype=np.int64)):
            parts.setdefault(column.name, []).append(column)
    return [_merged(part) for part in parts.values()]


def _merged(parts: list[Column]) -> Column:
    """Put the points of one name back into the order of the calls that had it."""
    if len(parts) == 1:
        return parts[0]
    rows = np.concatenate([part.rows for part in parts if part.rows is not None])
    order = np.argsort(rows, kind="stable")
    values = np.concatenate([part.values for part in parts])
    return Column(parts[0].name, rows[order], values[order])


def _read(values: Sequence[dict[str, Any]]) -> Lost:
    """Replace all values on a device by numbers; leave out what cannot be read."""
    places = [
        (call, name)
        for call in values
        for name, value in call.items()
        if isinstance(value, Deferred)
    ]
    lost = Lost(0, None)
    for (call, name), value in zip(places, fetch([c[n] for c, n in places]), strict=True):
        if value is not None:
            call[name] = value
            continue
        del call[name]
        lost = Lost(lost.points + 1, lost.why or f"{name} could not be read from its device")
    return lost


def _without_text(values: Sequence[dict[str, Any]]) -> Lost:
    """Leave out the values whose names have no text."""
    lost = Lost(0, None)
    for call in values:
        for name in [name for name in call if name.__class__ is not str]:
            try:
                name_text(name)
            except BadValue as error:
                del call[name]
                lost = Lost(lost.points + 1, lost.why or str(error).rstrip("."))
    return lost
