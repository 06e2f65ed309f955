"""Fewer points for a plot, without losing a peak or a dip.

The points are cut into buckets of equal length, in the order given, and of each bucket the lowest
and the highest value stay (min-max decimation, as in tsdownsample's ``MinMaxDownsampler``). The
first and the last point always stay; NaN stays visible where a bucket holds nothing else.
"""

from __future__ import annotations

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
    padded = np.full(-(-len(inner) // size) * size, np.nan)
    padded[: len(inner)] = inner
    buckets = padded.reshape(-1, size)
    missing = np.isnan(buckets)
    starts = np.arange(len(buckets)) * size + 1
    lowest = starts + np.where(missing, np.inf, buckets).argmin(axis=1)
    highest = starts + np.where(missing, -np.inf, buckets).argmax(axis=1)
    return np.unique(np.concatenate([[0], lowest, highest, [len(values) - 1]]))


def every(values: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.intp]:
    """Return the places of about one in ``n`` of ``values``, with the rules of `thin`.

    Raises:
        BadValue: for ``n`` below 1.
    """
    if n < 1:
        raise BadValue(f"every is {n}: it must be at least 1, which keeps every point.")
    return thin(values, max(FEWEST, -(-len(values) // n)))
