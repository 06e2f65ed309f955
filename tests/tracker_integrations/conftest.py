"""What the tests of the neighbours share."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Train the small models of these tests on one thread: two cost more than they bring."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
