"""What is stamped later is later, whatever the system's clock does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

import tracker.clock
from tracker.clock import RisingClock


def test_a_rising_clock_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = RisingClock()
    first = clock.now()
    monkeypatch.setattr(tracker.clock, "now", lambda: 0)
    assert [clock.now(), clock.now()] == [first + 1, first + 2]


def test_threads_get_different_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker.clock, "now", lambda: 0)
    clock = RisingClock()
    with ThreadPoolExecutor(8) as threads:
        moments = list(threads.map(lambda _: clock.now(), range(2000)))
    assert sorted(moments) == list(range(1, 2001))
