"""Stored blocks of series, put back together as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tracker.series.codec import decode_clock, decode_values
from tracker.series.sparse import SharedValues, decode_shared, superseded_in

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]


class StoredClock(NamedTuple):
    """A row of ``clock``; ``run`` is the caller's number for the run, from 0."""

    run: int
    attempt: int
    number: int
    payload: bytes


class StoredBlock(NamedTuple):
    """A row of ``block``; ``run`` and ``name`` are the caller's numbers for them, from 0.

    From the step ``cut`` on a later attempt has points of its own; None for nowhere.
    """

    run: int
    name: int
    attempt: int
    number: int
    points: int
    payload: bytes
    cut: int | None = None


class StoredSparse(NamedTuple):
    """A row of ``sparse_block``; ``run`` is the caller's number for the run, from 0."""

    run: int
    attempt: int
    number: int
    members: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Members:
    """Which series of sparse blocks are wanted, by id: ``names`` are the caller's numbers for them, from 0.

    From the step in ``cuts``, by series and attempt, a later attempt has points of its own.
    """

    names: Mapping[int, int]
    cuts: Mapping[int, Mapping[int, int]] = field(default_factory=dict)

    def lookup(self) -> _Lookup:
        """Return what finds the names of many ids at once."""
        series = np.fromiter(self.names, np.int64, len(self.names))
        names = np.fromiter(self.names.values(), np.int64, len(self.names))
        order = np.argsort(series)
        series, names = series[order], names[order]
        low, high = (int(series[0]), int(series[-1])) if len(series) else (0, -1)
        if high - low > _WIDEST * len(series):
            return _Lookup(low, series, names, None)
        table = np.full(high - low + 2, -1, np.int64)
        table[series - low] = names
        return _Lookup(low, series, names, table)


_WIDEST = 64
"""Ids for each wanted one between the lowest and the highest, up to which a table of all is looked into."""


class _Lookup(NamedTuple):
    """The ids of wanted series, rising, and their names; ``table`` has those of all ids from ``low`` on, or -1."""

    low: int
    series: Ints
    names: Ints
    table: Ints | None

    def names_of(self, series: Ints) -> Ints:
        """Return the name of each series; -1 where it is not wanted."""
        if self.table is not None:
            last = len(self.table) - 1
            places = series - self.low
            places[(places < 0) | (places > last)] = last
            return self.table[places]
        places = np.searchsorted(self.series, series)
        places[places == len(self.series)] = 0
        return np.where(self.series[places] == series, self.names[places], -1)


@dataclass(frozen=True, slots=True)
class Columns:
    """Points as columns of one length.

    ``run`` and ``name`` are codes in the smallest signed integer that holds them, as
    ``pandas.Categorical`` takes them; ``time`` is µs since 1970. ``attempt`` is in the smallest such
    integer, too; ``superseded`` marks points that a later attempt repeated.
    """

    run: Codes
    name: Codes
    step: Ints
    time: Ints
    value: Floats
    attempt: Codes
    superseded: Flags

    def at(self, places: npt.NDArray[Any]) -> Columns:
        """Return the points at these places, or where these flags are set."""
        return Columns(*(getattr(self, column.name)[places] for column in fields(self)))


def assemble(
    blocks: Sequence[StoredBlock],
    clocks: Iterable[StoredClock],
    *,
    sparse: Sequence[StoredSparse] = (),
    members: Members | None = None,
    start: int | None = None,
    stop: int | None = None,
    superseded: bool = False,
) -> Columns:
    """Decode ``blocks``, in their order; within a block points are in the order of the calls.

    Args:
        blocks: values of any series of any runs.
        clocks: at least those of the same run, attempt and number.
        sparse: blocks that series share, of any runs; with them, ``blocks`` must be sorted, and so is the result.
        members: which series of those.
        start: leave out the points of lower steps.
        stop: leave out the points of this step and higher ones.
        superseded: also those that a later attempt repeated, from a block's ``cut`` on.

    Raises:
        ValueError: for a payload that is damaged or of a newer version, or a clock that is missing.
    """
    parts: list[StoredBlock | _Shared] = list(blocks)
    if sparse and members is not None:
        known = members.lookup()
        parts += [_decoded(block, known, members.cuts) for block in sparse]
        parts.sort(key=lambda part: (part.run, part.attempt, part.number))
    total = sum(part.points for part in parts)
    table = Columns(
        _codes(max((part.run for part in parts), default=0), total),
        _codes(max((part.name for part in parts), default=0), total),
        np.empty(total, np.int64),
        np.empty(total, np.int64),
        np.empty(total, np.float64),
        _codes(max((part.attempt for part in parts), default=0), total),
        np.zeros(total, np.bool_),
    )
    encoded = {clock[:3]: clock.payload for clock in clocks}
    decoded: dict[tuple[int, int, int], tuple[Ints, Ints]] = {}
    places = _by_name(table, parts) if sparse else _in_order(parts)
    for part, here in zip(parts, places, strict=True):
        key = part.run, part.attempt, part.number
        clock = decoded.get(key)
        if clock is None:
            clock = decoded[key] = _clock(encoded, key)
        if isinstance(part, StoredBlock):
            _fill(table, here, part, clock)
        else:
            _fill_shared(table, here, part, clock)
    keep = _between(table, start, stop)
    if not superseded and table.superseded.any():
        keep = ~table.superseded if keep is None else keep & ~table.superseded
    return table if keep is None or keep.all() else table.at(keep)


@dataclass(frozen=True, slots=True)
class _Shared:
    """A sparse block, decoded; ``names`` are those of its series, ``name`` the highest of them."""

    run: int
    attempt: int
    number: int
    points: int
    name: int
    names: Ints
    values: SharedValues
    cuts: Mapping[int, Mapping[int, int]]


def _decoded(block: StoredSparse, known: _Lookup, cuts: Mapping[int, Mapping[int, int]]) -> _Shared:
    found = decode_shared(block.members, block.payload)
    names = known.names_of(found.series)
    wanted = names >= 0
    values, names = found.only(wanted), names[wanted]
    return _Shared(
        block.run, block.attempt, block.number, len(values.values), int(names.max(initial=0)),
        names, values, cuts,
    )  # fmt: skip


def _in_order(parts: Iterable[StoredBlock | _Shared]) -> Iterator[slice]:
    """Yield where the points of each part go: one part after the other."""
    at = 0
    for part in parts:
        yield slice(at, at + part.points)
        at += part.points


def _by_name(table: Columns, parts: Iterable[StoredBlock | _Shared]) -> Iterator[slice | Ints]:
    """Yield where the points of each part go, so that all are in the order of runs and names, which are filled in.

    The parts are those of one run after the other; points of one name stay in the order of the parts.
    """
    at = 0
    for run, of_run in groupby(parts, attrgetter("run")):
        own = list(of_run)
        counts = np.zeros(max(part.name for part in own) + 1, np.int64)
        for part in own:
            if isinstance(part, StoredBlock):
                counts[part.name] += part.points
            else:
                counts[part.names] += part.values.counts
        here = slice(at, at := at + int(counts.sum()))
        table.run[here], table.name[here] = run, np.repeat(np.arange(len(counts)), counts)
        free = here.start + np.cumsum(counts) - counts  # where the next point of each name goes
        for part in own:
            if isinstance(part, StoredBlock):
                first = int(free[part.name])
                yield slice(first, first + part.points)
                free[part.name] += part.points
            else:
                of_name = part.values.counts
                before = np.cumsum(of_name) - of_name
                yield np.arange(part.points) + np.repeat(free[part.names] - before, of_name)
                free[part.names] += of_name


def _fill_shared(
    table: Columns, here: slice | Ints, block: _Shared, clock: tuple[Ints, Ints]
) -> None:
    found = block.values
    if int(found.rows.max(initial=0)) >= len(clock[0]):
        raise ValueError(
            f"Block {block.number} of attempt {block.attempt} holds values of more "
            f"than the {len(clock[0])} calls that it has."
        )
    table.step[here], table.time[here] = clock[0][found.rows], clock[1][found.rows]
    table.value[here], table.attempt[here] = found.values, block.attempt
    series = np.repeat(found.series, found.counts) if block.cuts else found.series
    superseded = superseded_in(series, table.step[here], block.attempt, block.cuts)
    if superseded is not None:
        table.superseded[here] = superseded


def _codes(highest: int, total: int) -> Codes:
    return np.empty(total, np.min_scalar_type(-highest - 1))


def _clock(encoded: dict[Any, bytes], key: tuple[int, int, int]) -> tuple[Ints, Ints]:
    payload = encoded.get(key)
    if payload is None:
        raise ValueError(f"Block {key[2]} of attempt {key[1]} has values but no steps and times.")
    return decode_clock(payload)


def _fill(table: Columns, here: slice | Ints, block: StoredBlock, clock: tuple[Ints, Ints]) -> None:
    rows, values = decode_values(block.payload)
    calls = len(clock[0])
    highest = len(values) - 1 if rows is None else int(rows.max(initial=0))
    if len(values) != block.points or highest >= calls:
        raise ValueError(
            f"Block {block.number} of attempt {block.attempt} holds {len(values)} values "
            f"for {calls} calls; its row says {block.points} values."
        )
    chosen = slice(len(values)) if rows is None else rows
    table.run[here], table.name[here] = block.run, block.name
    table.step[here], table.time[here] = clock[0][chosen], clock[1][chosen]
    table.value[here], table.attempt[here] = values, block.attempt
    if block.cut is not None:
        table.superseded[here] = table.step[here] >= block.cut


def _between(table: Columns, start: int | None, stop: int | None) -> Flags | None:
    if start is None and stop is None:
        return None
    keep = np.ones(len(table.step), np.bool_)
    if start is not None:
        keep &= table.step >= start
    if stop is not None:
        keep &= table.step < stop
    return keep
