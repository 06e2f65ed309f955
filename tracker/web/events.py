"""Live: one thread looks for changes while somebody listens, and tells all who do."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator

from tracker.queries.changes import Change, Changes
from tracker.storage.database import Location

_LOOK_EVERY = 0.2
"""Seconds between two looks at a file: one statement, some 20 µs."""
_LOOK_AT_SERVER_EVERY = 0.5
_BEAT = 15.0
"""Seconds after which a listener hears that the server is there, so that neither side waits on a dead line."""


class Watcher:
    """Tells listeners what changes in a database. Its thread lives only while there are listeners."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._every = _LOOK_EVERY if location.path is not None else _LOOK_AT_SERVER_EVERY
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Queue[Change | None], asyncio.AbstractEventLoop] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._number = 0

    async def listen(self, last: str | None = None) -> AsyncIterator[bytes]:
        """Yield events as ``text/event-stream``; ``last`` is the id of the last event that a listener heard."""
        queue: asyncio.Queue[Change | None] = asyncio.Queue()
        self._add(queue)
        try:
            # Whatever was missed: the page asks again for what it shows.
            if last is not None and last != str(self._number):
                yield self._event(Change(other=True))
            yield b"retry: 1000\n\n"
            while True:
                try:
                    change = await asyncio.wait_for(queue.get(), _BEAT)
                except TimeoutError:
                    yield b": here\n\n"
                    continue
                if change is None:
                    return
                while not queue.empty():
                    change = _together(change, queue.get_nowait())
                    if change is None:
                        return
                yield self._event(change)
        finally:
            self._remove(queue)

    def _event(self, change: Change) -> bytes:
        data = json.dumps({"runs": change.runs, "other": change.other})
        return f"id: {self._number}\nevent: change\ndata: {data}\n\n".encode()

    def _add(self, queue: asyncio.Queue[Change | None]) -> None:
        with self._lock:
            self._listeners[queue] = asyncio.get_running_loop()
            if self._thread is None:
                self._stop.clear()
                self._thread = threading.Thread(
                    target=self._watch, name="tracker ui: changes", daemon=True
                )
                self._thread.start()

    def _remove(self, queue: asyncio.Queue[Change | None]) -> None:
        with self._lock:
            self._listeners.pop(queue, None)
            thread = self._thread if not self._listeners else None
            if thread is not None:
                self._thread = None
                self._stop.set()

    def close(self) -> None:
        """End the streams of all listeners."""
        self._tell(None)
        self._stop.set()

    def _tell(self, change: Change | None) -> None:
        with self._lock:
            self._number += 1
            for queue, loop in self._listeners.items():
                if not loop.is_closed():
                    loop.call_soon_threadsafe(queue.put_nowait, change)

    def _watch(self) -> None:
        stop = self._stop
        me = threading.current_thread()
        # The first look finds something: a page may have read before this thread began to look.
        changes = Changes(self._location)
        try:
            while not stop.wait(self._every):
                if self._thread is not me:
                    return
                change = changes.look()
                if change is not None:
                    self._tell(change)
        finally:
            changes.close()


def _together(first: Change, second: Change | None) -> Change | None:
    if second is None:
        return None
    return Change(sorted({*first.runs, *second.runs}), first.other or second.other)
