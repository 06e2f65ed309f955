"""What the tests of faults share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.oracle import NOTE, Oracle


@pytest.fixture
def oracle(folder: Path) -> Oracle:
    return Oracle(folder)


@pytest.fixture
def note() -> str:
    """Code that defines ``note(path, *facts)``."""
    return NOTE


@pytest.fixture
def wait_for() -> Callable[[Path], None]:
    """Wait until a file is there; the test's own time limit is pytest's."""
    import time

    def wait(path: Path) -> None:
        give_up = time.monotonic() + 60
        while not path.exists():
            assert time.monotonic() < give_up, f"{path} was never written"
            time.sleep(0.005)

    return wait


def pytest_configure() -> None:
    os.environ.setdefault("PYTHONFAULTHANDLER", "1")
