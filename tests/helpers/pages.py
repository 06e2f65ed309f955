"""A real server of the page, on loopback, in a thread of the test's process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.helpers import ROOT
from tracker.web.server import Server, listen

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator
    from playwright.sync_api import Page as BrowserPage

SCREENSHOTS = ROOT / "build" / "screenshots"
"""Where the browser tests leave what they saw."""


@dataclass
class Page:
    """A server, and a client that has opened its link."""

    server: Server
    client: httpx.Client

    @property
    def origin(self) -> str:
        """What a browser calls it."""
        return f"http://127.0.0.1:{self.server.port}"

    def link(self, path: str = "/") -> str:
        """Return a new link."""
        return self.server.link(self.server.keys.link_key(), path)

    def get(self, path: str, **params: Any) -> httpx.Response:
        """Ask the JSON interface."""
        return self.client.get(f"/api/v1{path}", params=params)

    def rows(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Return a table as dicts."""
        answer = self.get(path, **params)
        assert answer.status_code == 200, answer.text
        table = answer.json()
        names = [column["name"] for column in table["columns"]]
        return [dict(zip(names, row, strict=True)) for row in table["rows"]]

    def send(self, method: str, path: str, data: Any, **headers: str) -> httpx.Response:
        """Change something, as the page itself does."""
        given = {"origin": self.origin, **headers}
        return self.client.request(method, f"/api/v1{path}", json=data, headers=given)


@contextmanager
def serving(database: str | Path | None = None, **options: Any) -> Iterator[Page]:
    """Serve a database until the block ends."""
    options.setdefault("port", 0)
    server = listen(database, **options)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20) as client:
        page = Page(server, client)
        key = server.keys.link_key()
        entered = client.get(f"/?token={key}", follow_redirects=True)
        assert entered.status_code == 200, entered.text
        yield page
    give_up = time.monotonic() + 10
    while thread.is_alive() and time.monotonic() < give_up:
        server.stop()
        thread.join(0.05)
    assert not thread.is_alive(), "the server did not end"


@dataclass
class Tab:
    """A tab of a browser, and what went wrong in it.

    Attributes:
        shown: the browser's page.
        page: the server.
        problems: errors of scripts, and what the console reported.
        foreign: requests to other servers, which were stopped.
    """

    shown: BrowserPage
    page: Page
    problems: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> BrowserPage:
        """Go to a view."""
        self.shown.goto(self.page.origin + path)
        return self.shown

    def find(self, selector: str, **options: Any) -> Locator:
        """Return what a selector finds."""
        return self.shown.locator(selector, **options)

    def picture(self, name: str) -> None:
        """Keep a screenshot."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.shown.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@contextmanager
def opened(browser: Browser, page: Page, **options: Any) -> Iterator[Tab]:
    """Open a tab; its errors, and requests to other servers, fail the test at the end."""
    from playwright.sync_api import expect

    # A test that is about speed says its own.
    expect.set_options(timeout=30_000)
    options.setdefault("viewport", {"width": 1280, "height": 900})
    context = browser.new_context(**options)
    context.set_default_timeout(30_000)
    tab = Tab(context.new_page(), page)

    def pass_own(route: Any) -> None:
        if route.request.url.startswith((page.origin, "data:", "blob:")):
            route.continue_()
        else:
            tab.foreign.append(route.request.url)
            route.abort()

    context.route("**/*", pass_own)
    tab.shown.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.shown.on(
        "console", lambda said: said.type in ("error", "warning") and tab.problems.append(said.text)
    )
    tab.shown.on("dialog", lambda dialog: (tab.problems.append(dialog.message), dialog.dismiss()))
    tab.shown.goto(page.origin + f"/?token={page.server.keys.link_key()}")
    yield tab
    context.close()
    assert not tab.problems, tab.problems
    assert not tab.foreign, tab.foreign
