"""`tracker.series.downsample`: fewer points, no lost extremes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import BadValue
from tracker.series.downsample import every, thin

numbers = st.floats(allow_nan=True, allow_infinity=True, width=64)
curves = st.lists(numbers, max_size=300).map(lambda items: np.array(items, np.float64))


@given(curves, st.integers(4, 400))
def test_lowest_highest_first_and_last_stay(values, points):
    """However few points are asked for, the extremes and both ends are among them."""
    kept = thin(values, points)
    assert len(kept) <= max(points, 0)
    assert (np.diff(kept) > 0).all()
    if len(values):
        assert {0, len(values) - 1} <= {*kept.tolist()}
    if np.isfinite(values).any():
        assert np.nanmin(values[kept]) == np.nanmin(values)
        assert np.nanmax(values[kept]) == np.nanmax(values)


@given(curves, st.integers(1, 50))
def test_every_keeps_about_one_in_n(values, n):
    """``every=n`` keeps no more than one in n, but never less than four."""
    assert len(every(values, n)) <= max(4, -(-len(values) // n))


def test_short_series_stay_whole():
    """What has no more points than asked for comes back as it is."""
    assert thin(np.arange(10.0), 10).tolist() == list(range(10))
    assert every(np.arange(10.0), 1).tolist() == list(range(10))
    assert thin(np.empty(0), 4).tolist() == []


def test_a_single_spike_survives_ten_million_points():
    """One spike in a long flat curve is still there among a thousand points."""
    values = np.zeros(10_000_000)
    values[7_654_321] = 1.0
    kept = thin(values, 1000)
    assert 7_654_321 in kept
    assert len(kept) <= 1000


def test_a_stretch_of_nan_stays_visible():
    """Where a bucket holds only NaN one NaN stays, so that a plot shows the gap."""
    values = np.ones(1000)
    values[300:600] = np.nan
    assert np.isnan(values[thin(values, 50)]).any()


@pytest.mark.parametrize("points", [3, 0, -1])
def test_fewer_than_four_points_are_refused(points):
    """Three points cannot hold the ends and the extremes; the error says so with the number."""
    with pytest.raises(BadValue, match=f"points is {points}: at least 4"):
        thin(np.arange(10.0), points)


def test_every_zero_is_refused():
    """``every=0`` has no meaning."""
    with pytest.raises(BadValue, match="every is 0"):
        every(np.arange(10.0), 0)


def test_a_nan_hides_neither_a_peak_nor_a_dip_of_its_bucket() -> None:
    values = np.zeros(1000)
    values[::50] = np.nan
    values[[333, 777]] = 9.0, -9.0
    kept = thin(values, 20)
    assert {333, 777} <= set(kept.tolist())
