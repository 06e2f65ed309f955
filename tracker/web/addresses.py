"""Addresses: a name in one may hold a slash, sent as ``%2F``, which does not end it."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.convertors import Convertor, register_url_convertor

from tracker.web.access import App, Receive, Scope, Send


class Parted:
    """An ASGI application in front of another, which gets the path of a request with the slashes of names escaped.

    Servers decode a path as a whole, and ``/runs/a%2Fb/epochs`` would be ``/runs/a/b/epochs``. In a route,
    ``{run:name}`` is one such part, decoded.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            parts = scope["raw_path"].decode("ascii").split("/")
            scope = {**scope, "path": "/".join(map(_escaped, parts))}
        await self._app(scope, receive, send)


def _escaped(part: str) -> str:
    """Decode a part of a path, except what would be read as another one."""
    return unquote(part).replace("%", "%25").replace("/", "%2F")


class _Name(Convertor[str]):
    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        return _escaped(value)


register_url_convertor("name", _Name())
