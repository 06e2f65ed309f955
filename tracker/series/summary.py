"""Last, lowest and highest value of a series, each with its step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracker.series.codec import decode_values

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """What a series amounts to; of equal values the first counts, and a NaN is only ever the last.

    ``last`` is the value that was logged last, whatever its step; ``min`` and ``max`` are None where every
    value is NaN.
    """

    last: float
    last_step: int
    min: float | None
    min_step: int | None
    max: float | None
    max_step: int | None

    def followed_by(self, later: SeriesSummary) -> SeriesSummary:
        """Return the summary of this part of a series and the one after it."""
        lower = higher = self
        if later.min is not None and (self.min is None or later.min < self.min):
            lower = later
        if later.max is not None and (self.max is None or later.max > self.max):
            higher = later
        return SeriesSummary(
            later.last, later.last_step, lower.min, lower.min_step, higher.max, higher.max_step
        )


def summary_of(values: Floats, steps: Ints) -> SeriesSummary:
    """Return the summary of at least one value, in the order in which they were logged."""
    low, high = int(values.argmin()), int(values.argmax())
    last, last_step = float(values[-1]), int(steps[-1])
    if not math.isnan(values[low]):
        return SeriesSummary(
            last, last_step,
            float(values[low]), int(steps[low]), float(values[high]), int(steps[high]),
        )  # fmt: skip
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return SeriesSummary(last, last_step, None, None, None, None)
    low, high = int(known[values[known].argmin()]), int(known[values[known].argmax()])
    return SeriesSummary(
        last, last_step,
        float(values[low]), int(steps[low]), float(values[high]), int(steps[high]),
    )  # fmt: skip


def summary_of_block(payload: bytes, steps: Ints, cut: int | None = None) -> SeriesSummary | None:
    """Return the summary of a stored block; None where nothing of it is left below the step ``cut``.

    Args:
        payload: the block's values.
        steps: those of its clock.
        cut: the step from which on its values are superseded; None for nowhere.

    Raises:
        ValueError: for a payload that is damaged, of a newer version, or of other calls than the clock's.
    """
    rows, values = decode_values(payload)
    if (len(values) - 1 if rows is None else int(rows.max(initial=0))) >= len(steps):
        raise ValueError(f"A block of {len(values)} values has steps for {len(steps)} calls.")
    own = steps[: len(values)] if rows is None else steps[rows]
    if cut is not None:
        below = own < cut
        values, own = values[below], own[below]
    return summary_of(values, own) if len(values) else None
