"""Pending entries, while the database cannot take them: one fsynced file per attempt.

A line is a CRC-32 and JSON; a torn last line is recognised and left out. Entries can be applied
twice, so a spool may be imported whatever was committed before.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from zlib import crc32

from tracker.files import private_folder, sync_folder
from tracker.storage.entries import Entry, OriginEntry
from tracker.storage.location import SPOOL, Location
from tracker.storage.room import NO_ROOM, Room
from tracker.values import plain

REFUSED = ".refused"
"""The ending of files that hold what a database refused."""


class Spool:
    """The pending entries of one attempt; safe to use from several threads, and from a signal handler.

    Args:
        path: the file.
        origin: returns the entry that says whose records follow; a new file begins with it, if there is one.
        room: what it may give up when the disk is full.

    Attributes:
        on_disk: how many entries the file has.
        unwritten: entries that are not on the disk: just held, or refused by it (a full one); tried again.
    """

    def __init__(
        self, path: Path, origin: Callable[[], Entry | None] | None = None, room: Room | None = None
    ) -> None:
        self.path = path
        self._origin = origin
        self._room = room
        self.unwritten: list[Entry] = []
        self.on_disk = 0
        self._lock = threading.RLock()
        self._clearing = False

    @property
    def count(self) -> int:
        """How many entries are pending, on the disk or in memory."""
        return self.on_disk + len(self.unwritten)

    @property
    def empty(self) -> bool:
        """Whether no entry is pending."""
        return self.count == 0

    def hold(self, entries: Iterable[Entry]) -> None:
        """Keep entries in memory; never waits for the disk. `write` brings them there."""
        self.unwritten.extend(entries)

    def append(self, entries: Iterable[Entry]) -> Exception | None:
        """Keep entries, on disk when this returns; returns the error if the disk refused and memory keeps them."""
        self.hold(entries)
        return self.write()

    def write(self) -> Exception | None:
        """Bring what is held to the disk; returns the error if it refused and memory keeps them."""
        with self._lock:
            # A signal handler may come in the middle of `clear`, which writes at its end.
            if not self.unwritten or self._clearing:
                return None
            held = len(self.unwritten)
            try:
                self._write("".join(map(_line, self.unwritten[:held])).encode())
            except (OSError, TypeError, ValueError, RecursionError) as error:
                return error
            self.on_disk += held
            del self.unwritten[:held]
        return None

    def _write(self, data: bytes) -> None:
        try:
            self._append(data)
        except OSError as error:
            if error.errno not in NO_ROOM or self._room is None or not self._room.give_up():
                raise
            self._append(data)

    def _append(self, data: bytes) -> None:
        private_folder(self.path.parent)
        descriptor = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        try:
            end = os.fstat(descriptor).st_size
            if end == 0:
                origin = None if self._origin is None else self._origin()
                if origin is not None:
                    data = _line(origin).encode() + data
            elif os.pread(descriptor, 1, end - 1) != b"\n":
                # A disk that refused the rest of a line may have refused to take its beginning back.
                data = b"\n" + data
            try:
                _write_all(descriptor, data)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)
        if end == 0:
            sync_folder(self.path.parent)

    def read(self) -> list[Entry]:
        """Return the pending entries, in order."""
        with self._lock:
            return [*read_file(self.path), *self.unwritten]

    def clear(self, applied: int) -> None:
        """Forget the first ``applied`` entries, which the database has now; later ones stay.

        A kill in here, or a disk that refuses, leaves entries that will be applied twice, and loses none.
        """
        with self._lock:
            self._clearing = True
            try:
                stored = read_file(self.path)
                rest = stored[applied:]
                try:
                    if rest:
                        self._rewrite(rest, origin_of(stored))
                    else:
                        self.path.unlink(missing_ok=True)
                except OSError:
                    rest = stored
                del self.unwritten[: max(0, applied - len(stored))]
                self.on_disk = len(rest)
            finally:
                self._clearing = False
            self.write()
        if self._room is not None and self.empty:
            self._room.keep()

    def replace(self, entries: list[Entry]) -> None:
        """Have these entries on disk instead of those that are, behind the same origin; without any, no file."""
        with self._lock:
            if entries:
                self._rewrite(entries, origin_of(read_file(self.path)))
            else:
                self.path.unlink(missing_ok=True)
            self.on_disk = len(entries)

    def _rewrite(self, entries: list[Entry], origin: OriginEntry | None) -> None:
        if origin is not None and origin_of(entries) is None:
            entries = [origin, *entries]
        fresh = self.path.with_suffix(".new")
        # One that a kill has left, or a link that somebody has laid down.
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            _write_all(descriptor, "".join(map(_line, entries)).encode())
        finally:
            os.close(descriptor)
        fresh.replace(self.path)
        sync_folder(self.path.parent)


def copy_private(path: Path, target: Path) -> None:
    """Copy a file that may hold what is recorded; nobody else may read the copy."""
    data = path.read_bytes()
    target.unlink(missing_ok=True)
    descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        _write_all(descriptor, data)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    if written != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(descriptor)


def spool_files(location: Location) -> list[Path]:
    """Return the spool files beside a database, oldest first."""
    return location.spool_files()


def refused_files(location: Location) -> list[Path]:
    """Return the files of entries that the database refused, see `set_aside`; oldest first."""
    return location.spool_files(REFUSED)


def set_aside(path: Path, entries: Iterable[Entry], origin: OriginEntry | None) -> Path:
    """Keep entries that the database refuses, beside the spool file at ``path``; returns where.

    ``origin`` says whose they are; None where it is not known.

    Raises:
        OSError: they could not be written.
    """
    beside = Spool(path.with_suffix(REFUSED), lambda: origin)
    error = beside.append(entries)
    if error is not None:
        raise error if isinstance(error, OSError) else OSError(str(error))
    return beside.path


def spool_path(location: Location, attempt_id: str) -> Path:
    """Return the spool file of an attempt."""
    return location.data_folder() / SPOOL / f"{attempt_id}.jsonl"


def read_file(path: Path) -> list[Entry]:
    """Return the entries of a spool file; lines that are torn or damaged are left out."""
    return [entry for entry in map(_parse, _lines(path)) if entry is not None]


def origin_of(entries: Iterable[Entry]) -> OriginEntry | None:
    """Return the entry that says whose records these are; None where a file has none."""
    return next((entry for entry in entries if entry["kind"] == "origin"), None)


def damaged_lines(path: Path) -> int:
    """Count the lines that were written whole and cannot be read; a torn last one does not count."""
    return sum(line.endswith(b"\n") and _parse(line) is None for line in _lines(path))


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines(keepends=True)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _line(entry: Entry) -> str:
    text = json.dumps(entry, default=_encoded, separators=(",", ":"))
    return f"{crc32(text.encode()):08x} {text}\n"


def _encoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    return plain(value)


def _parse(line: bytes) -> Entry | None:
    digest, _, text = line.removesuffix(b"\n").partition(b" ")
    if not text or digest != f"{crc32(text):08x}".encode():
        return None
    entry: Entry = json.loads(text, object_hook=_restore)
    return entry


def _restore(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["$bytes"]) if value.keys() == {"$bytes"} else value
