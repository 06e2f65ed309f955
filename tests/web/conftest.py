"""A page over the test's database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.pages import Page, Tab, opened, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def page(folder: Path) -> Iterator[Page]:
    """Serve the test's database."""
    with serving() as served:
        yield served


MISSING = (
    "The browser tests drive Debian's chromium, and there is none on this machine: apt-get install chromium, "
    "or leave them out with --ignore=tests/web."
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the browser that the machine has; nothing is downloaded.

    It ends with the module: as long as it runs, its event loop does, and `asyncio.run` of other tests fails.
    """
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.fail(MISSING)
    with sync_playwright() as play:
        yield play.chromium.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture
def tab(browser: Browser, page: Page) -> Iterator[Tab]:
    """Open a tab that reaches the page's server and nothing else; it must not report an error."""
    with opened(browser, page) as shown:
        yield shown
