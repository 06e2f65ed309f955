"""The public API is one sorted list; what is imported costs next to nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tracker
from tests.helpers import ROOT

HEAVY = ("tensorflow", "keras", "torch", "pandas", "alembic", "sqlalchemy", "numpy")


def test_the_list_is_sorted_and_whole() -> None:
    assert tracker.__all__ == sorted(tracker.__all__)
    assert set(tracker.__all__) == set(tracker._HOMES)


@pytest.mark.parametrize("name", tracker.__all__)
def test_a_public_name_loads_and_says_what_it_is(name: str) -> None:
    assert getattr(tracker, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = tracker.nonsense


def test_importing_tracker_loads_nothing_heavy() -> None:
    code = f"import sys, tracker; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
