"""An exponential moving average, as TensorBoard draws it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_SMALLEST = 1e-250
_LARGEST = 1e290
_NO_BIAS = 40.0


def smoothed(values: Floats, weight: float) -> Floats:
    """Return the exponential moving average, without the bias of its beginning; NaN and infinities are passed over.

    As in TensorBoard: ``m = weight * m + (1 - weight) * value``, over ``1 - weight ** n``.

    Args:
        values: any number of them.
        weight: of the past: more than 0, and less than 1.
    """
    finite = np.isfinite(values)
    known = values[finite]
    if not len(known):
        return values
    # Powers of the weight must not vanish within one chunk, nor what is divided by them overflow.
    smallest = max(_SMALLEST, float(np.abs(known).max()) / _LARGEST)
    size = max(1, min(len(known), int(math.log(min(1.0, smallest)) / math.log(weight))))
    decay = weight ** np.arange(1, size + 1)
    out = np.empty(len(known))
    mean = 0.0
    for at in range(0, len(known), size):
        chunk = known[at : at + size]
        powers = decay[: len(chunk)]
        part = powers * (mean + np.cumsum((1 - weight) * chunk / powers))
        out[at : at + size] = part
        mean = float(part[-1])
    # Beyond these the bias is less than a double can tell.
    biased = min(len(known), int(_NO_BIAS / -math.log(weight)) + 1)
    out[:biased] /= 1 - np.power(weight, np.arange(1, biased + 1))
    averaged = values.copy()
    averaged[finite] = out
    return averaged
