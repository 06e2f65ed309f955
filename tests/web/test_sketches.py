"""Blocks that are sketched together come to what each alone comes to."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.queries.stored_series import Decoded, StoredPart
from tracker.web.sketches import sketch_of, sketches_of


def blocks() -> list[tuple[StoredPart, Decoded]]:
    """Return blocks of equal and other lengths; some with odd values, some with steps that fall."""
    draw = np.random.default_rng(0)
    found = []
    for number, length in enumerate([64] * 40 + [7, 64, 0, 64, 64, 65, 65]):
        x = np.arange(length) + 100 * number
        values = draw.normal(size=length)
        if number % 5 == 1 and length:
            values[draw.integers(length, size=3)] = np.nan, np.inf, -np.inf
        if number % 7 == 2:
            x = x[::-1].copy()
        part = StoredPart(1, 1, number, length, 0, length)
        found.append((part, Decoded(x, values)))
    return found


@pytest.mark.parametrize("times", [False, True])
def test_blocks_are_sketched_together_as_each_alone(times: bool) -> None:
    given = blocks()
    together = dict(sketches_of(given, times))
    assert list(together) == [part for part, block in given if len(block.x)]
    for part, block in given:
        if not len(block.x):
            continue
        one, alone = together[part], sketch_of(block, times)
        assert (one.total, one.low, one.high) == (alone.total, alone.low, alone.high)
        assert one.y.min() == alone.y.min() and one.y.max() == alone.y.max()
        assert (one.x[0], one.x[-1]) == (alone.x[0], alone.x[-1])
        np.testing.assert_array_equal(one.odd, alone.odd)
        np.testing.assert_array_equal(one.odd_x, alone.odd_x)
        assert (np.diff(one.x) > 0).all() and len(one.x) <= 34


def test_every_sixteenth_keeps_its_peaks() -> None:
    values = np.sin(np.arange(160) * 2.3)
    pairs = [(StoredPart(1, 1, n, 160, 0, 159), Decoded(np.arange(160), values)) for n in (0, 1)]
    for _, sketch in sketches_of(pairs, times=False):
        for part in values.reshape(16, 10):
            assert part.min() in sketch.y and part.max() in sketch.y
