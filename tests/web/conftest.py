"""A page over the test's database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.pages import Page, serving


@pytest.fixture
def page(folder: Path) -> Iterator[Page]:
    """Serve the test's database."""
    with serving() as served:
        yield served
