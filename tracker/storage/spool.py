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
from tracker.values import plain


class Spool:
    """The pending entries of one attempt; safe to use from several threads, and from a signal handler.

    Args:
        path: the file.
        origin: returns the entry that says whose records follow; a new file begins with it.
    """

    def __init__(self, path: Path, origin: Callable[[], Entry] | None = None) -> None:
        self.path = path
        self._origin = origin
        self.count = 0
        self.unwritten: list[Entry] = []
        """Entries that not even the spool could take (a full disk): kept in memory, tried again."""
        self._lock = threading.RLock()
        self._clearing = False

    @property
    def empty(self) -> bool:
        """Whether no entry is pending."""
        return self.count == 0

    def append(self, entries: Iterable[Entry]) -> Exception | None:
        """Keep entries, on disk when this returns; returns the error if the disk refused and memory keeps them."""
        entries = list(entries)
        with self._lock:
            self.count += len(entries)
            self.unwritten.extend(entries)
            # A signal handler may come in the middle of `clear`, which appends again at its end.
            if not self.unwritten or self._clearing:
                return None
            try:
                self._write("".join(map(_line, self.unwritten)).encode())
            except (OSError, TypeError, ValueError, RecursionError) as error:
                return error
            self.unwritten = []
        return None

    def _write(self, data: bytes) -> None:
        private_folder(self.path.parent)
        descriptor = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        try:
            end = os.fstat(descriptor).st_size
            if end == 0 and self._origin is not None:
                data = _line(self._origin()).encode() + data
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
                on_disk = read_file(self.path)
                rest = on_disk[applied:]
                try:
                    if rest:
                        self._replace(rest)
                    else:
                        self.path.unlink(missing_ok=True)
                except OSError:
                    rest = on_disk
                del self.unwritten[: max(0, applied - len(on_disk))]
            finally:
                self._clearing = False
            self.count = len(rest) + len(self.unwritten)
            self.append([])

    def _replace(self, entries: list[Entry]) -> None:
        fresh = self.path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        try:
            _write_all(descriptor, "".join(map(_line, entries)).encode())
        finally:
            os.close(descriptor)
        fresh.replace(self.path)
        sync_folder(self.path.parent)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    if written != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(descriptor)


def spool_files(location: Location) -> list[Path]:
    """Return the spool files beside a database, oldest first."""
    return location.spool_files()


def set_aside(path: Path, entries: Iterable[Entry]) -> Path:
    """Keep entries that the database refuses, beside the spool file at ``path``; returns where."""
    beside = Spool(path.with_suffix(".refused"))
    beside.append(entries)
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
