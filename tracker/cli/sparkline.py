"""A curve in a dozen letters, beside the numbers of a listing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from tracker.queries.curves import monitored_curves
from tracker.queries.result import Listing
from tracker.storage.database import Reader

WIDTH = 12
_LETTERS = "▁▂▃▄▅▆▇█"
_LEVEL = "▄"
_NO_NUMBER = "×"
_READ = 200
"""Points of a long curve that its letters are made of."""


def sparklines(reader: Reader, listing: Listing) -> Mapping[str, str]:
    """Return, by id, the monitored metric of the runs of an overview that have it in at least two epochs."""
    return {
        run: drawn(list(curve.values.values()))
        for run, curve in monitored_curves(reader, listing, _READ).items()
        if len(curve.values) > 1
    }


def drawn(values: Sequence[float], width: int = WIDTH) -> str:
    """Return a letter for each value, or, of more than ``width``, for as many parts: the mean of each.

    The lowest letter is the lowest of them. A part without a number, of NaN and infinities alone, is ``×``.
    """
    count = min(len(values), width)
    edges = [place * len(values) // count for place in range(count + 1)]
    parts = [_mean(values[start:end]) for start, end in pairwise(edges)]
    known = [part for part in parts if part is not None]
    if not known:
        return _NO_NUMBER * count
    low, high = min(known), max(known)
    return "".join(_NO_NUMBER if part is None else _letter(part, low, high) for part in parts)


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return sum(value / len(finite) for value in finite) if finite else None


def _letter(value: float, low: float, high: float) -> str:
    # Halves: the difference of two numbers may exceed what a number can be.
    span = high / 2 - low / 2
    if span <= 0:
        return _LEVEL
    return _LETTERS[round((value / 2 - low / 2) / span * (len(_LETTERS) - 1))]
