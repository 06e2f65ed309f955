"""Calls of ``log`` turned into arrays: a column for each name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, pairwise
from operator import itemgetter
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from tracker.errors import BadValue
from tracker.series.deferred import Deferred, fetch
from tracker.values import name_text

Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

LAST_STEP = (1 << 63) - 1
SPARSE = 8
"""A name that fewer than one in so many calls have is sparse: it shares its columns with others."""
_FEW = 16  # so many sets of names are packed one by one


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one name in a batch, and which calls had it (``rows``; None: every one)."""

    name: str
    rows: Ints | None
    values: Floats


class Codes(dict[Any, int]):
    """A number for each name that few calls have, given when it is first asked for; names of one text have one.

    Threads may ask at the same time, and signal handlers may raise: a number may remain unused.

    Attributes:
        names: the texts, by number.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, str] = {}
        self._numbers = count()

    def __missing__(self, name: Any) -> int:
        text = name_text(name)
        code = self.get(text)
        if code is None:
            new = next(self._numbers)
            self.names[new] = text
            code = self.setdefault(text, new)
        return self.setdefault(name, code)


class CodedNames(Sequence[str]):
    """Names, each once, by their numbers in a table."""

    def __init__(self, table: Codes, codes: Ints) -> None:
        self.table = table
        self.codes = codes

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...

    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        if isinstance(place, slice):
            return CodedNames(self.table, self.codes[place])
        return self.table.names[int(self.codes[place])]

    def __iter__(self) -> Iterator[str]:
        return map(self.table.names.__getitem__, self.codes.tolist())

    def tolist(self) -> list[str]:
        """Return them as JSON has them."""
        return list(self)


class Sparse(NamedTuple):
    """Points of many names that have few each, in the order of the calls.

    ``codes`` are the names' numbers in ``table``; ``rows`` are the calls that the points belong to.
    """

    table: Codes
    codes: Places
    rows: Places
    values: Floats

    def columns(self) -> Iterator[Column]:
        """Yield a column for each name that has points."""
        order = np.argsort(self.codes, kind="stable")
        codes, rows, values = (
            self.codes[order],
            self.rows[order].astype(np.int64),
            self.values[order],
        )
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        for start, stop in pairwise([*starts.tolist(), len(codes)]):
            name = self.table.names[int(codes[start])]
            yield Column(name, rows[start:stop], values[start:stop])

    def at(self, places: Any) -> Sparse:
        """Return the points at these places, or where these flags are set."""
        return Sparse(self.table, self.codes[places], self.rows[places], self.values[places])


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive calls of ``log``: steps and times (µs since 1970), and a column for each name.

    Names that few of the calls had are together in ``sparse``, where there are many; ``codes`` number them.
    """

    steps: Ints
    times: Ints
    columns: list[Column]
    sparse: Sparse | None = None
    codes: Codes = field(default_factory=Codes, repr=False)

    @property
    def calls(self) -> int:
        """The number of calls."""
        return len(self.steps)

    @property
    def points(self) -> int:
        """The number of values."""
        sparse = 0 if self.sparse is None else len(self.sparse.values)
        return sparse + sum(len(column.values) for column in self.columns)

    @property
    def numbers(self) -> int:
        """How many numbers of 8 bytes it holds: values, steps and times, and rows where names differ."""
        rows = sum(len(column.rows) for column in self.columns if column.rows is not None)
        # Codes and rows are half a number each.
        rows += 0 if self.sparse is None else len(self.sparse.values)
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


def pack(calls: Calls, codes: Codes) -> tuple[Batch, Lost]:
    """Turn calls into arrays, and read what is still on a device; ``codes`` number the names that few calls have.

    The dicts are the packer's own: values on a device are replaced by numbers in them.
    """
    lost = Lost(0, None)
    steps = np.array(calls.steps, dtype=np.int64)
    seconds = np.fromiter(calls.seconds, np.float64, len(calls.seconds))
    try:
        packed = _packed(calls.values, codes)
    # A Deferred is not a number; a name may not have a text.
    except Exception:
        nameless, unread = _without_text(calls.values), _read(calls.values)
        lost = Lost(nameless.points + unread.points, nameless.why or unread.why)
        packed = _packed(calls.values, codes)
    return Batch(steps, np.rint(seconds * 1e6).astype(np.int64), *packed, codes), lost


def _packed(values: Sequence[dict[str, Any]], codes: Codes) -> tuple[list[Column], Sparse | None]:
    names = list(values[0]) if values else []
    if set(map(len, values)) == {len(names)}:
        try:
            columns = _same_columns(names, values, None)
        except KeyError:
            return _mixed(values, codes)
        if len({column.name for column in columns}) == len(names):
            return columns, None
    return _mixed(values, codes)


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


def _mixed(values: Sequence[dict[str, Any]], codes: Codes) -> tuple[list[Column], Sparse | None]:
    """Pack calls of different names."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, names in enumerate(map(tuple, values)):
        groups.setdefault(names, []).append(row)
        if len(groups) > _FEW:
            return _scattered(values, codes)
    return _grouped(values, groups), None


def _grouped(
    values: Sequence[dict[str, Any]], groups: dict[tuple[str, ...], list[int]]
) -> list[Column]:
    """Pack the calls of the same names together, then merge by name."""
    parts: dict[str, list[Column]] = {}
    for names, rows in groups.items():
        group = [values[row] for row in rows]
        for column in _same_columns(names, group, np.array(rows, dtype=np.int64)):
            parts.setdefault(column.name, []).append(column)
    return [_merged(part) for part in parts.values()]


def _scattered(
    values: Sequence[dict[str, Any]], codes: Codes
) -> tuple[list[Column], Sparse | None]:
    """Pack calls of ever other names: each point by itself, then by name those that have many."""
    lengths = np.fromiter(map(len, values), np.int32, len(values))
    total = int(lengths.sum())
    code_of_each = map(codes.__getitem__, chain.from_iterable(values))
    points = Sparse(
        codes,
        np.fromiter(code_of_each, np.int32, total),
        np.repeat(np.arange(len(values), dtype=np.int32), lengths),
        np.fromiter(chain.from_iterable(map(dict.values, values)), np.float64, total),
    )
    dense = np.bincount(points.codes) * SPARSE >= len(values)
    if not dense.any():
        return [], points
    of_dense = dense[points.codes]
    sparse = points.at(~of_dense)
    return list(points.at(of_dense).columns()), sparse if len(sparse.values) else None


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
