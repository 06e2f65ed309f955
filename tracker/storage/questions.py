"""What a recorder asks the database, on a connection of its own that waits for no writer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from tracker.storage.database import Database
from tracker.storage.location import Location

T = TypeVar("T")


class Questions:
    """Asks from any thread of the process that made it; the connection is kept from one to the next."""

    def __init__(self, location: Location) -> None:
        self._database = Database(location, mode="ro")
        self._lock = threading.Lock()
        self._closed = False

    def ask(self, ask: Callable[[Connection], T]) -> T:
        """Return what ``ask`` finds in a snapshot of what is committed.

        Raises:
            StoreError: when there is no answer.
        """
        with self._lock:
            try:
                with self._database.snapshot() as connection:
                    return ask(connection)
            finally:
                if self._closed:
                    self._database.close()

    def close(self) -> None:
        """Keep no connection any more, from one question to the next either."""
        self._closed = True
        if self._lock.acquire(blocking=False):  # else the question that is asked now closes it
            self._database.close()
            self._lock.release()

    def forget(self) -> None:
        """Leave the connection alone: after a fork it belongs to the parent."""
        self._database.forget()
        self._lock = threading.Lock()
