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
    "/runs/{run}",
    "/compare",
    "/replay",
    "/waste",
    "/checkpoints",
    "/experiments",
    "/experiments/{name}",
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


def routes() -> APIRouter:
    """Return the routes of the page and its files; they are not part of the JSON interface."""
    router = APIRouter(include_in_schema=False)
    known = static_files()
    marks = {name: f'"{hashlib.sha256(data).hexdigest()[:20]}"' for name, data in known.items()}

    def send(name: str, request: Request) -> Response:
        headers = {"ETag": marks[name], "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == marks[name]:
            return Response(status_code=304, headers=headers)
        return Response(known[name], media_type=_type(name), headers=headers)

    def page(request: Request) -> Response:
        return send(_START, request)

    for path in PAGES:
        router.add_api_route(path, page, methods=["GET"])

    @router.get("/static/{name:path}")
    def file(name: str, request: Request) -> Response:
        if name not in known:
            return Response("There is no such file.", 404, media_type="text/plain")
        return send(name, request)

    return router
