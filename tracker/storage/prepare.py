"""Open a database to write, which is created or upgraded first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from tracker.storage import migrate, schema
from tracker.storage.database import Database, peek, translated
from tracker.storage.location import Location, locate

_PATIENCE = 10.0


def prepare(location: Location) -> None:
    """Create the database, or bring it to this release's schema; does nothing where it is current."""
    with translated(location, to_read=True):
        if location.path is not None and location.exists() and schema.is_current(location.path):
            return
    if peek(location) != schema.HEAD:
        migrate.upgrade(location)


@contextmanager
def writing(database: str | os.PathLike[str] | Location | None = None) -> Iterator[Connection]:
    """Open for one write transaction; creates or upgrades the database first."""
    location = database if isinstance(database, Location) else locate(database)
    prepare(location)
    handle = Database(location, patience=_PATIENCE)
    try:
        with handle.transaction() as connection:
            yield connection
    finally:
        handle.close()
