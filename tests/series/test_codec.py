"""`tracker.series.codec`: columns to bytes and back, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tracker.series.codec import (
    BLOCK_CALLS,
    VERSION,
    decode_clock,
    decode_members,
    decode_values,
    encode_clock,
    encode_members,
    encode_values,
)

PLAIN = "54530110030000000000000055e3a72e000000000000f83f000000000000f07f9a9999999999b93f"
PACKED = (
    "5453010140000000240000004ee8b53670636f21030006100401043f000010010100050000000000"
    "00400000000000000000800070636f21030006100401043f000010010100e7030000000000400100"
    "401e18240a0680cff33ccff33ccff33ccff33ccff33c0f00"
)
any_bits = arrays(np.int64, st.integers(0, 300), elements=st.integers(-(2**63), 2**63 - 1))
whole = st.integers(-(2**63) + 1, 2**63 - 1)


def bits(values):
    return np.asarray(values, np.float64).view(np.int64).tolist()


@given(any_bits)
def test_any_double_comes_back_bit_for_bit(pattern):
    """Each of the 2⁶⁴ bit patterns: NaN payloads, infinities, subnormals, -0.0."""
    rows, values = decode_values(encode_values(pattern.view(np.float64)))
    assert rows is None
    assert bits(values) == pattern.tolist()


@given(arrays(np.float32, st.integers(0, 300), elements=st.floats(width=32)))
def test_single_precision_comes_back_bit_for_bit(values):
    """Values that single precision holds are stored so, and come back as the same doubles."""
    wide = values.astype(np.float64)
    assert bits(decode_values(encode_values(wide))[1]) == bits(wide)


@given(arrays(np.int64, st.integers(1, 300), elements=whole))
def test_any_steps_and_times_come_back(steps):
    """Steps may repeat, go back and jump across the whole 64-bit range."""
    times = np.cumsum(np.abs(steps) % 10_000) + 1_700_000_000_000_000
    again = decode_clock(encode_clock(steps, times))
    assert np.array_equal(again[0], steps)
    assert np.array_equal(again[1], times)


def test_noise_and_smooth_curves_fit_their_budgets():
    """At 4 metrics a step with wall times: ≤ 2.5 bytes a noisy point, ≤ 1.5 a smooth one."""
    n, rng = BLOCK_CALLS, np.random.default_rng(0)
    base = 2 * np.exp(-np.arange(n) / n) + 0.3
    times = 1_700_000_000_000_000 + np.cumsum(rng.normal(2000, 100, n)).astype(np.int64)
    clock = len(encode_clock(np.arange(n), times)) / 4
    noisy = (base * (1 + 0.002 * rng.standard_normal(n))).astype(np.float32).astype(np.float64)
    smooth = base.astype(np.float32).astype(np.float64)
    assert (clock + len(encode_values(noisy))) / n <= 2.5
    assert (clock + len(encode_values(smooth))) / n <= 1.5


@pytest.mark.parametrize("kept", [0, 1, 15, 16, 17, -1])
def test_a_payload_cut_short_is_an_error(kept):
    """However many bytes are left, they are a ValueError, never wrong numbers."""
    with pytest.raises(ValueError, match=r"damaged or cut short|Not a series block"):
        decode_values(encode_values(np.arange(100.0))[:kept])


@settings(max_examples=300)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_single_changed_byte_goes_unnoticed(place, change):
    """A flipped byte anywhere in a payload is a ValueError."""
    payload = bytearray(encode_clock(np.arange(500), np.arange(500) ** 2))
    payload[place % len(payload)] ^= change
    with pytest.raises(ValueError):
        decode_clock(bytes(payload))


def test_a_newer_format_is_refused_with_what_to_do():
    """A payload of a later release names its format and says to upgrade."""
    payload = bytearray(encode_values(np.arange(3.0)))
    payload[2] = VERSION + 1
    with pytest.raises(ValueError, match=f"format {VERSION + 1}.*Upgrade"):
        decode_values(bytes(payload))


def test_the_format_of_version_1_stays_readable():
    """Payloads as the first release wrote them: one of plain sections, one that pcodec packed."""
    assert decode_values(bytes.fromhex(PLAIN))[1].tolist() == [1.5, float("inf"), 0.1]
    steps, times = decode_clock(bytes.fromhex(PACKED))
    assert steps.tolist() == list(range(0, 640, 10))
    assert times.tolist() == [1_700_000_000_000_000 + 2000 * i + i % 3 for i in range(64)]


def test_clock_and_values_are_not_mistaken_for_each_other():
    """Each decoder refuses the other's payload."""
    with pytest.raises(ValueError, match="not the steps and times"):
        decode_clock(encode_values(np.arange(2.0)))
    with pytest.raises(ValueError, match="not the values of a series"):
        decode_values(encode_clock(np.arange(2), np.arange(2)))


def test_members_come_back_and_are_mistaken_for_nothing_else():
    """Ids of series and how many points each has; refused where points are expected, and the other way round."""
    series, counts = np.array([9, 3, 2**40]), np.array([1, 200, 7])
    payload = encode_members(series, counts)
    assert [part.tolist() for part in decode_members(payload)] == [series.tolist(), counts.tolist()]
    with pytest.raises(ValueError, match="names that share a block"):
        decode_values(payload)
    with pytest.raises(ValueError, match="not the names that share a block"):
        decode_members(encode_values(np.arange(2.0)))


def test_a_stranger_s_bytes_are_refused():
    """Bytes of another origin are told by how they begin."""
    with pytest.raises(ValueError, match="Not a series block: it begins with b'PK"):
        decode_values(b"PK\x03\x04 and so on, for a while")
