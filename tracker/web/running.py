"""The application behind its door, run by uvicorn."""

from __future__ import annotations

import socket
from collections.abc import Iterable

import uvicorn

from tracker.storage.location import Location
from tracker.web.access import Door, Keys
from tracker.web.app import application


class Running(uvicorn.Server):
    """Uvicorn with our application; when it ends, the streams of open pages end first."""

    def __init__(
        self,
        location: Location,
        keys: Keys,
        *,
        names: Iterable[str] = (),
        read_only: bool = False,
        frames: str = "'none'",
    ) -> None:
        app, site = application(location, read_only=read_only)
        door = Door(app, keys, names=names, read_only=read_only, frames=frames)
        config = uvicorn.Config(
            door,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._watcher = site.watcher

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then the server."""
        self._watcher.close()
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Have `run` return."""
        self.should_exit = True
