"""`tracker.ui`: the page within a notebook, or its link for a terminal."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from tracker import frames
from tracker.queries.resolve import find_run
from tracker.storage.database import locate, reading
from tracker.web.server import Server, listen

if TYPE_CHECKING:
    from tracker.recording.run import Run

# The same name as a notebook's own address, so that a browser sends the cookie within a frame of it.
_HOST = "localhost"
_FRAMES = "http://localhost:* http://127.0.0.1:* https://localhost:* vscode-webview:"

_servers: dict[str, Server] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class PageView:
    """A view of the page; a notebook shows it inline, ``print`` its link.

    Attributes:
        path: the address of the view on the server.
        height: pixels.
    """

    path: str
    height: int
    _server: Server

    @property
    def link(self) -> str:
        """A new link to it, which opens once."""
        return self._server.link(self._server.keys.link_key(), self.path)

    def __repr__(self) -> str:
        return f"<the page of {self._server.location}: {self.link}>"

    def _repr_html_(self) -> str:
        return (
            f'<iframe src="{escape(self.link)}" width="100%" height="{self.height}" style="border:0" '
            f'title="local-tracker"></iframe>'
            f'<div><a href="{escape(self.link)}" target="_blank" rel="noopener">Open in a tab</a></div>'
        )


def ui(
    run: str | Run | None = None,
    *,
    database: str | os.PathLike[str] | None = None,
    height: int = 640,
    read_only: bool = False,
) -> PageView:
    """Show the page inline in a notebook: a run's, or the table of runs.

    A server is started on this machine, in a thread of this process, and serves until the process ends. Each
    database has one.

    Args:
        run: a `Run`, its id, a prefix of it, or its name; None for the table.
        database: a path or URL.
        height: pixels of the frame.
        read_only: whether the page changes nothing; counts for the first call.

    Raises:
        TrackerError: when the extra ``ui`` is not installed.
        UnknownRun, AmbiguousRun: for the name of no run, or of several.
    """
    location = locate(database)
    path = "/"
    if run is not None:
        with reading(location) as reader:
            path = f"/runs/{quote(find_run(reader, frames.named(run)), safe='')}"
    with _lock:
        server = _servers.get(str(location))
        if server is None:
            server = listen(location, host=_HOST, port=0, read_only=read_only, frames=_FRAMES)
            _servers[str(location)] = server
            threading.Thread(target=server.serve, name="tracker ui", daemon=True).start()
    return PageView(path, height, server)
