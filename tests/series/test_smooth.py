"""The exponential moving average of charts."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.series.smooth import smoothed


def test_smoothing_begins_at_the_first_value_and_keeps_a_nan() -> None:
    assert smoothed(np.ones(3), 0.9) == pytest.approx([1.0, 1.0, 1.0])
    first, odd, last = smoothed(np.array([2.0, np.nan, 4.0]), 0.5)
    assert (first, np.isnan(odd)) == (2.0, True)
    assert last == pytest.approx((0.5 * 1.0 + 0.5 * 4.0) / 0.75)


@pytest.mark.parametrize("value", [1e100, -1e250, 1e-300])
def test_huge_and_tiny_values_are_smoothed_as_any(value: float) -> None:
    assert smoothed(np.full(6000, value), 0.9) == pytest.approx(np.full(6000, value), rel=1e-9)
