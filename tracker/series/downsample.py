"""Fewer points for a plot, without losing a peak or a dip.

The points are cut into buckets of equal length, in the order given, and of each bucket the lowest
and the highest value stay (min-max decimation, as in tsdownsample's ``MinMaxDownsampler``). The
first and the last point always stay; NaN stays visible where a bucket holds nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tracker.errors import BadValue

FEWEST = 4  # the first point, the last, the lowest and the highest


def thin(values: npt.NDArray[np.float64], points: int) -> npt.NDArray[np.intp]:
    """Return the places of at most ``points`` of ``values``, ascending; all where that is enough.

    Raises:
        BadValue: for less than 4 points: the first, the last, the lowest and the highest.
    """
    if points < FEWEST:
        raise BadValue(
            f"points is {points}: at least {FEWEST} are needed, "
            f"for the first, the last, the lowest and the highest."
        )
    if len(values) <= points:
        return np.arange(len(values))
    inner = values[1:-1]
    size = -(-len(inner) // ((points - 2) // 2))
    whole = len(inner) // size * size
    parts = [inner[:whole].reshape(-1, size), inner[whole:].reshape(1, -1)]
    starts = np.arange(-(-len(inner) // size)) * size + 1
    lowest = starts + np.concatenate([_lowest(part) for part in parts if part.size])
    highest = starts + np.concatenate([_highest(part) for part in parts if part.size])
    return np.unique(np.concatenate([[0], lowest, highest, [len(values) - 1]]))


def _lowest(buckets: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    return _extreme(buckets, np.argmin, np.inf)


def _highest(buckets: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    return _extreme(buckets, np.argmax, -np.inf)


def _extreme(
    buckets: npt.NDArray[np.float64], find: Callable[..., Any], never: float
) -> npt.NDArray[np.intp]:
    """Return the place in each bucket; only buckets with a NaN, which compares with nothing, are copied."""
    places: npt.NDArray[np.intp] = find(buckets, axis=1)
    broken = np.isnan(buckets[np.arange(len(buckets)), places])
    if broken.any():
        rows = buckets[broken]
        places[broken] = find(np.where(np.isnan(rows), never, rows), axis=1)
    return places


def every(values: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.intp]:
    """Return the places of about one in ``n`` of ``values``, with the rules of `thin`.

    Raises:
        BadValue: for ``n`` below 1.
    """
    if n < 1:
        raise BadValue(f"every is {n}: it must be at least 1, which keeps every point.")
    return thin(values, max(FEWEST, -(-len(values) // n)))
