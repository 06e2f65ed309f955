"""Who may ask: the door that every request passes, and the keys to it.

A page on this machine is within reach of every web page that its user visits: by rebinding a name to
127.0.0.1, by forms, by frames. So each request must name a host that is ours, carry a key, and, where it
would change something, come from our own page.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_READS = ("GET", "HEAD")
_MOST_SESSIONS = 1000

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors {frames}"
)


class Keys:
    """The keys to one server.

    A link holds a key that opens once; what it opens with is a session's secret, kept in a cookie. A key for
    programs, if there is one, opens each time.

    Args:
        port: which names the cookie: browsers do not tell the ports of one host apart.
        bearer: a key for programs.
        used: called with a new key when one was used, so that a second browser has a link, too.
    """

    def __init__(
        self,
        port: int,
        bearer: str | None = None,
        used: Callable[[str], None] | None = None,
    ) -> None:
        self.cookie = f"tracker-{port}"
        self._bearer = bearer
        self._used = used
        self._lock = threading.Lock()
        self._once: set[str] = set()
        self._sessions: dict[str, None] = {}

    def link_key(self) -> str:
        """Return a key that opens once."""
        key = secrets.token_urlsafe(24)
        with self._lock:
            self._once.add(key)
        return key

    def exchange(self, key: str) -> str | None:
        """Return the secret of a new session for a key that opens once; None for any other key."""
        with self._lock:
            known = next(
                (one for one in self._once if hmac.compare_digest(_bytes(one), _bytes(key))), None
            )
            if known is None:
                return None
            self._once.remove(known)
            secret = secrets.token_urlsafe(32)
            self._sessions[secret] = None
            while len(self._sessions) > _MOST_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
        if self._used is not None:
            self._used(self.link_key())
        return secret

    def opens(self, secret: str) -> bool:
        """Return whether this is the secret of a session."""
        given = _bytes(secret)
        return any(hmac.compare_digest(_bytes(one), given) for one in list(self._sessions))

    def opens_for_programs(self, bearer: str) -> bool:
        """Return whether this is the key for programs."""
        return bool(self._bearer) and hmac.compare_digest(_bytes(self._bearer), _bytes(bearer))


def _bytes(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "surrogateescape")


class Door:
    """An ASGI application in front of another: refuses who may not ask, and says so in a sentence.

    Args:
        app: what answers those who may.
        keys: the keys.
        names: further host names that this server is called by, without ports.
        read_only: whether every request that would change something is refused.
        frames: whose pages may show ours in a frame, as CSP takes it.
    """

    def __init__(
        self,
        app: App,
        keys: Keys,
        *,
        names: Iterable[str] = (),
        read_only: bool = False,
        frames: str = "'none'",
    ) -> None:
        self._app, self._keys = app, keys
        self._names = {name.lower() for name in (*names, socket.gethostname())}
        self._read_only = read_only
        self._policy = _POLICY.format(frames=frames)
        self._framed = frames != "'none'"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        answer = self._refusal(scope, headers)
        if answer is None:
            await self._app(scope, receive, self._with_headers(send))
        else:
            await answer(self._with_headers(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> _Answer | None:
        """Return the answer to a request that does not pass; None for one that does."""
        host = headers.get("host", "")
        if not self._is_ours(host, scope):
            return _Answer(
                403, f"This server is not called {host!r}: open the link that tracker ui printed."
            )
        path = unquote(str(scope["path"]))
        if "\\" in path or "\0" in path or ".." in path.split("/"):
            return _Answer(400, "The path leads out of this server.")
        method, query = scope["method"], scope.get("query_string", b"").decode("latin-1")
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if self._keys.opens_for_programs(bearer):
            by_program = True
        else:
            by_program = False
            if method in _READS and "token" in dict(parse_qsl(query)):
                return self._entry(scope["raw_path"].decode("ascii"), query)
            if not self._keys.opens(_cookies(headers.get("cookie", "")).get(self._keys.cookie, "")):
                return _Answer(
                    401,
                    "This page needs the link that tracker ui printed; each link opens once. A new one "
                    "stands in the terminal.",
                )
        if method in _READS:
            return None
        if self._read_only:
            return _Answer(403, "This server was started with --read-only: it changes nothing.")
        if not self._is_own_page(headers, host, scope, by_program):
            return _Answer(403, "Only this server's own page may change something here.")
        return None

    def _is_ours(self, host: str, scope: Scope) -> bool:
        """Return whether a Host header names this server: by an address that it was reached at, or a known name.

        A page whose name was rebound to our address names itself, not an address.
        """
        try:
            parts = urlsplit(f"//{host}")
            name, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return False
        address, own_port = scope.get("server") or ("127.0.0.1", None)
        if not host or parts.username is not None or parts.path:
            return False
        if own_port is not None and (port or 80) != own_port:
            return False
        if _is_loopback(address) and name in LOOPBACK_NAMES:
            return True
        return name == address.lower() or name in self._names

    @staticmethod
    def _is_own_page(headers: dict[str, str], host: str, scope: Scope, by_program: bool) -> bool:
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return False
        origin = headers.get("origin")
        if origin is None:
            return by_program
        return origin == f"{scope.get('scheme', 'http')}://{host}"

    def _entry(self, path: str, query: str) -> _Answer:
        """Exchange the key in a link for a cookie, and the link for one without the key."""
        rest = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True)]
        secret = self._keys.exchange(next(value for name, value in rest if name == "token"))
        if secret is None:
            return _Answer(
                403,
                "This link was used already, or is not one of this server: a new one stands in the terminal.",
            )
        others = urlencode([pair for pair in rest if pair[0] != "token"])
        # A path that begins with two slashes would be another server.
        place = "/" + path.lstrip("/") + (f"?{others}" if others else "")
        cookie = f"{self._keys.cookie}={secret}; HttpOnly; SameSite=Strict; Path=/"
        return _Answer(303, "", {"location": place, "set-cookie": cookie})

    def _with_headers(self, send: Send) -> Send:
        added = {
            "content-security-policy": self._policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
        }
        if not self._framed:
            added["x-frame-options"] = "DENY"

        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in added.items()]
                if b"cache-control" not in there:
                    more.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        return sending


class _Answer:
    """An answer of the door itself, as plain text."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self._status, self._body = status, text.encode()
        self._headers = {"content-type": "text/plain; charset=utf-8", **(headers or {})}

    async def __call__(self, send: Send) -> None:
        headers = {**self._headers, "content-length": str(len(self._body))}
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self._status, "headers": encoded})
        await send({"type": "http.response.body", "body": self._body})


def _cookies(header: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return {name: value for name, _, value in pairs}


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return True
