"""A real server of the page, on loopback, in a thread of the test's process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tracker.web.server import Server, listen


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
