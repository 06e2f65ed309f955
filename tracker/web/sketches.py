"""What an overview of a step metric needs of each of its blocks, taken from many blocks at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tracker.queries.stored_series import Decoded, StoredPart
from tracker.series.downsample import thin

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
X = TypeVar("X", np.int64, np.float64)

_BUCKETS = 16
_SKETCHED = 2 * _BUCKETS + 2
"""Points of a sketch: the first, the last, and two of each sixteenth."""
_AT_ONCE = 32
"""Blocks that are stacked: 4 MB, which a processor's cache holds."""


@dataclass(frozen=True)
class Sketch:
    """What an overview needs of one block: its lowest and highest values, and every odd one.

    Attributes:
        x, y: the first and last point, and the lowest and highest of each sixteenth.
        odd_x, odd: where a value is NaN or infinite, and which.
        total: how many points the block has.
        low, high: the range of its x.
    """

    x: Floats
    y: Floats
    odd_x: Floats
    odd: Floats
    total: int
    low: float
    high: float


def sketch_of(block: Decoded, times: bool) -> Sketch:
    """Return the sketch of a block with at least one point."""
    x, y = by_x(block.x, block.values)
    finite = np.isfinite(y)
    odd = np.flatnonzero(~finite)
    known = np.flatnonzero(finite) if len(odd) else None
    places = thin(y if known is None else y[known], _SKETCHED)
    if known is not None:
        places = known[places]
    low, high = scaled(x[[0, -1]], times).tolist()
    return Sketch(
        scaled(x[places], times), y[places], scaled(x[odd], times), y[odd], len(x), low, high
    )


def sketches_of(
    blocks: Iterable[tuple[StoredPart, Decoded]], times: bool
) -> Iterator[tuple[StoredPart, Sketch]]:
    """Yield the sketch of each block that has points.

    Blocks of one length, which nearly all are, are sketched together: what NumPy takes for a call is more than what it
    takes for 8 192 points.
    """
    blocks = iter(blocks)
    stack = np.empty((_AT_ONCE, 0))
    while some := list(islice(blocks, _AT_ONCE)):
        for length, alike in groupby(some, lambda pair: len(pair[1].x)):
            group = list(alike)
            if len(group) > 1 and length and not length % _BUCKETS:
                if stack.shape[1] != length:
                    stack = np.empty((_AT_ONCE, length))
                yield from _stacked(group, times, stack[: len(group)])
            else:
                yield from ((part, sketch_of(one, times)) for part, one in group if length)


def _stacked(
    group: list[tuple[StoredPart, Decoded]], times: bool, y: Floats
) -> Iterator[tuple[StoredPart, Sketch]]:
    """Yield the sketches of blocks of one length.

    ``y`` is where their values are stacked: memory that is there already, as new one costs more than the copy.
    """
    for row, (_, block) in zip(y, group, strict=True):
        row[:] = block.values
    finite = np.asarray(np.isfinite(y).all(axis=1))
    count, length = y.shape
    starts = np.arange(_BUCKETS) * (length // _BUCKETS)
    buckets = y.reshape(count, _BUCKETS, -1)
    ends = np.broadcast_to([0, length - 1], (count, 2))
    found = [ends, starts + buckets.argmin(axis=2), starts + buckets.argmax(axis=2)]
    places = np.sort(np.concatenate(found, axis=1), axis=1)
    ys = np.take_along_axis(y, places, 1)
    # The first point may be the lowest of its sixteenth, too.
    once = np.diff(places, axis=1, prepend=-1) > 0
    none = np.empty(0)
    for at, (part, block) in enumerate(group):
        if finite[at] and (block.x[1:] >= block.x[:-1]).all():
            x = scaled(block.x[places[at, once[at]]], times)
            low, high = float(x[0]), float(x[-1])
            yield part, Sketch(x, ys[at, once[at]], none, none, length, low, high)
        else:
            yield part, sketch_of(block, times)


def scaled(x: Ints, times: bool) -> Floats:
    """Return steps as they are, times as seconds."""
    return x / 1e6 if times else x.astype(np.float64)


def by_x(x: npt.NDArray[X], y: Floats) -> tuple[npt.NDArray[X], Floats]:
    """Return the points by rising x; points of one x stay in their order."""
    if (x[1:] < x[:-1]).any():
        order = np.argsort(x, kind="stable")
        return x[order], y[order]
    return x, y
