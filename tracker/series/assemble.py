"""Stored blocks of series, put back together as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tracker.series.codec import decode_clock, decode_values

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
        return Columns(*(getattr(self, field.name)[places] for field in fields(self)))


def assemble(
    blocks: Sequence[StoredBlock],
    clocks: Iterable[StoredClock],
    *,
    start: int | None = None,
    stop: int | None = None,
    superseded: bool = False,
) -> Columns:
    """Decode ``blocks``, in their order; within a block points are in the order of the calls.

    Args:
        blocks: values of any series of any runs.
        clocks: at least those of the same run, attempt and number.
        start: leave out the points of lower steps.
        stop: leave out the points of this step and higher ones.
        superseded: also those that a later attempt repeated, from a block's ``cut`` on.

    Raises:
        ValueError: for a payload that is damaged or of a newer version, or a clock that is missing.
    """
    total = sum(block.points for block in blocks)
    table = Columns(
        _codes(max((block.run for block in blocks), default=0), total),
        _codes(max((block.name for block in blocks), default=0), total),
        np.empty(total, np.int64),
        np.empty(total, np.int64),
        np.empty(total, np.float64),
        _codes(max((block.attempt for block in blocks), default=0), total),
        np.zeros(total, np.bool_),
    )
    encoded = {clock[:3]: clock.payload for clock in clocks}
    decoded: dict[tuple[int, int, int], tuple[Ints, Ints]] = {}
    at = 0
    for block in blocks:
        key = block.run, block.attempt, block.number
        clock = decoded.get(key)
        if clock is None:
            clock = decoded[key] = _clock(encoded, key)
        here = slice(at, at + block.points)
        _fill(table, here, block, clock)
        at += block.points
    keep = _between(table, start, stop)
    if not superseded and any(block.cut is not None for block in blocks):
        keep = ~table.superseded if keep is None else keep & ~table.superseded
    return table if keep is None or keep.all() else table.at(keep)


def _codes(highest: int, total: int) -> Codes:
    return np.empty(total, np.min_scalar_type(-highest - 1))


def _clock(encoded: dict[Any, bytes], key: tuple[int, int, int]) -> tuple[Ints, Ints]:
    payload = encoded.get(key)
    if payload is None:
        raise ValueError(f"Block {key[2]} of attempt {key[1]} has values but no steps and times.")
    return decode_clock(payload)


def _fill(table: Columns, here: slice, block: StoredBlock, clock: tuple[Ints, Ints]) -> None:
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
