"""What stands between a program and a server, and cuts the one off from the other."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_HOST = "127.0.0.1"
_PIECE = 1 << 16


class Proxy:
    """Forwards what is sent to it, until it is cut; ``url`` is the server's with the proxy in its place."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or _HOST, parts.port or 5432)
        self._listening = socket.create_server((_HOST, 0))
        self._open: set[socket.socket] = set()
        self._cut = threading.Event()
        self.url = url.replace(f":{self._target[1]}", f":{self._listening.getsockname()[1]}")
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listening.accept()
                if self._cut.is_set():
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                self._open |= {client, server}
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_PIECE):
                target.sendall(data)
        for end in (source, target):
            self._end(end)

    def _end(self, end: socket.socket) -> None:
        self._open.discard(end)
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()

    def cut(self) -> None:
        """Break every connection off, and take no new one."""
        self._cut.set()
        for end in list(self._open):
            self._end(end)

    def mend(self) -> None:
        """Take connections again."""
        self._cut.clear()

    def close(self) -> None:
        """End it."""
        self.cut()
        self._listening.close()


@contextmanager
def proxy(url: str) -> Iterator[Proxy]:
    """Give a proxy to the server of a URL."""
    made = Proxy(url)
    try:
        yield made
    finally:
        made.close()
