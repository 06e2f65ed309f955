"""What databases' drivers and the file system raise, as `StoreError`s that name the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import Timeout
from sqlalchemy.exc import DBAPIError

from tracker.errors import DatabaseBusy, NotATrackerDatabase, NotWritable, StoreError
from tracker.storage.location import Location


@contextmanager
def in_use(location: Location) -> Iterator[None]:
    """Turn what drivers raise into `StoreError`s that name the database; other errors are the caller's own."""
    try:
        yield
    except Timeout as error:
        raise DatabaseBusy(_busy(location)) from error
    except DBAPIError as error:
        raise _meaning(error, location) from error


@contextmanager
def translated(location: Location) -> Iterator[None]:
    """Turn what opening a database raises into `StoreError`s that name it."""
    try:
        with in_use(location):
            yield
    except PermissionError as error:
        raise NotWritable(
            f"{error.filename or location} cannot be written: {error.strerror}."
        ) from error
    except OSError as error:
        raise StoreError(f"The database {location} cannot be used: {error}.") from error
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise StoreError(
            "PostgreSQL needs the driver psycopg: pip install 'local-tracker[postgres]'."
        ) from error


def _busy(location: Location) -> str:
    return f"The database {location} was locked by another process for too long. Try again."


def _meaning(error: DBAPIError, location: Location) -> StoreError:
    text = str(error.orig)
    if "locked" in text or "busy" in text or "lock timeout" in text:
        return DatabaseBusy(_busy(location))
    if "readonly" in text or "unable to open" in text:
        return NotWritable(f"The database {location} cannot be opened for that: {text}.")
    if "not a database" in text or "malformed" in text:
        return NotATrackerDatabase(
            f"The database {location} is damaged or no database ({text}). "
            f"Look at it with: tracker db doctor --database {location}"
        )
    return StoreError(f"The database {location} refused: {text.strip()}")
