"""A server on this machine: a socket, a link with a key, a browser."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec

from tracker.errors import BadValue, StoreError, TrackerError
from tracker.storage.database import locate, reading
from tracker.storage.location import Location
from tracker.variables import UI_TOKEN
from tracker.web.access import Keys

PORT = 8717
_PORTS_TRIED = 50
_TEXT_BROWSERS = ("lynx", "links", "elinks", "w3m", "www-browser")
_EVERYWHERE = ("0.0.0.0", "::")


@dataclass
class Server:
    """A server that listens already, and answers once `serve` is called.

    Attributes:
        location: the database.
        listening: its socket.
        keys: the keys to it.
        host: the name in its links.
        read_only: whether it changes nothing.
        frames: whose pages may show it in a frame, as CSP takes it.
    """

    location: Location
    listening: socket.socket
    keys: Keys
    host: str
    read_only: bool = False
    frames: str = "'none'"
    _stop: Callable[[], None] | None = field(default=None, init=False)

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return int(self.listening.getsockname()[1])

    def link(self, key: str, path: str = "/") -> str:
        """Return a link that opens once."""
        name = socket.gethostname() if self.host in _EVERYWHERE else self.host
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}{path}?token={key}"

    def serve(self) -> None:
        """Answer until `stop`, or Ctrl-C."""
        # Not earlier: the link is printed, and the browser waits, while this is imported.
        from tracker.web.running import Running

        names = () if self.host in _EVERYWHERE else (self.host,)
        running = Running(
            self.location, self.keys, names=names, read_only=self.read_only, frames=self.frames
        )
        self._stop = running.stop
        running.run(sockets=[self.listening])

    def stop(self) -> None:
        """Have `serve` return."""
        if self._stop is not None:
            self._stop()


def listen(
    database: str | os.PathLike[str] | Location | None = None,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    read_only: bool = False,
    frames: str = "'none'",
    used: Callable[[str], None] | None = None,
) -> Server:
    """Open the socket of a server.

    Args:
        database: a path or URL.
        host: the address to listen at; another than loopback is within reach of other machines.
        port: 0 for any; None for 8717, or the next one that is free.
        read_only: whether nothing may be changed.
        frames: whose pages may show it in a frame.
        used: called with a new key when one was used.

    Raises:
        TrackerError: when the extra ``ui`` is not installed.
        StoreError: when the database cannot be read, or the port is not available.
        BadValue: for an address that is not of this machine, or a number that is not a port.
    """
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise TrackerError(
            f"The page needs {' and '.join(missing)}: pip install 'local-tracker[ui]'."
        )
    location = database if isinstance(database, Location) else locate(database)
    with reading(location):
        # A database that is not ours, or of another release, is refused here, before a browser opens.
        pass
    listening = _socket(host, port)
    bound = int(listening.getsockname()[1])
    keys = Keys(bound, os.environ.get(UI_TOKEN) or None, used)
    return Server(location, listening, keys, host, read_only, frames)


def _socket(host: str, port: int | None) -> socket.socket:
    tried = range(PORT, PORT + _PORTS_TRIED) if port is None else (port,)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise BadValue(
            f"host is {host!r}: it is not an address of this machine ({error})."
        ) from error
    problem: OSError | None = None
    for number in tried:
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((address[0], number))
            found.listen(128)
            return found
        except (OSError, OverflowError) as error:
            found.close()
            if not isinstance(error, OSError):
                raise BadValue(f"port is {number}: it must be from 0 to 65535.") from error
            problem = error
            if error.errno != errno.EADDRINUSE:
                break
    assert problem is not None
    advice = "take another one with --port, or 0 for any"
    raise StoreError(f"Port {tried[-1]} of {host} is not available ({problem.strerror}): {advice}.")


def open_browser(link: str) -> bool:
    """Open a link in the browser of this desktop; False where there is none."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return False
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    if getattr(browser, "name", "") in _TEXT_BROWSERS:
        return False

    def show() -> None:
        with suppress(Exception):
            browser.open(link)

    threading.Thread(target=show, name="tracker ui: browser", daemon=True).start()
    return True
