"""The page's own files: read once, served by their exact name, so that no path leads anywhere else."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request, Response

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
_START = "index.html"
PAGES = (
    "/",
    "/runs",
    "/runs/{run:name}",
    "/compare",
    "/replay",
    "/waste",
    "/checkpoints",
    "/experiments",
)
"""The addresses of views: each is the same page, which looks at its own address."""


def static_files(folder: Traversable | None = None, above: str = "") -> dict[str, bytes]:
    """Return the files that are served: path below ``static`` → content."""
    folder = files("tracker.web") / "static" if folder is None else folder
    found: dict[str, bytes] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= static_files(entry, f"{above}{entry.name}/")
        elif _type(entry.name) is not None:
            found[f"{above}{entry.name}"] = entry.read_bytes()
    return found


def _type(name: str) -> str | None:
    return _TYPES.get("." + name.rpartition(".")[2])


def is_view(request: Request) -> bool:
    """Return whether a browser asks for something to show, rather than a program for an answer."""
    path = request.scope["path"]
    is_elsewhere = path.startswith(("/api/", "/static/"))
    asks = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    return asks and not is_elsewhere


class Files:
    """The page and its files, each sent with a mark by which a browser knows that it has it."""

    def __init__(self) -> None:
        self._known = static_files()
        self._marks = {
            name: f'"{hashlib.sha256(data).hexdigest()[:20]}"' for name, data in self._known.items()
        }

    def page(self, request: Request, status: int = 200) -> Response:
        """Send the page, which says itself where there is no such view."""
        return self._send(_START, request, status)

    def routes(self) -> APIRouter:
        """Return the routes of the page and its files; they are not part of the JSON interface."""
        router = APIRouter(include_in_schema=False)

        def page(request: Request) -> Response:
            return self.page(request)

        for path in PAGES:
            router.add_api_route(path, page, methods=["GET"])

        @router.get("/static/{name:path}")
        def file(name: str, request: Request) -> Response:
            if name not in self._known:
                return Response("There is no such file.", 404, media_type="text/plain")
            return self._send(name, request)

        return router

    def _send(self, name: str, request: Request, status: int = 200) -> Response:
        headers = {"ETag": self._marks[name], "Cache-Control": "no-cache"}
        if status == 200 and request.headers.get("if-none-match") == self._marks[name]:
            return Response(status_code=304, headers=headers)
        return Response(self._known[name], status, media_type=_type(name), headers=headers)
