"""Where entries wait while the database cannot take them: one fsynced file an attempt.

A line is a CRC-32 and JSON; a torn last line is recognised and left out. Entries can be applied
twice, so a spool may be imported whatever was committed before.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zlib import crc32

from tracker.journal import Entry
from tracker.location import Location

FOLDER = "spool"


class Spool:
    """The waiting entries of one attempt; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.unwritten: list[Entry] = []
        """Entries that not even the spool could take (a full disk): kept in memory."""
        self._lock = threading.Lock()

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return self.count == 0

    def append(self, entries: Iterable[Entry]) -> OSError | None:
        """Keep entries, on disk when this returns; returns the error where the disk refused and memory keeps them."""
        entries = list(entries)
        with self._lock:
            self.count += len(entries)
            if self.unwritten:
                self.unwritten.extend(entries)
                return OSError("earlier entries wait in memory")
            try:
                self._write("".join(map(_line, entries)).encode())
            except OSError as error:
                self.unwritten.extend(entries)
                return error
        return None

    def _write(self, data: bytes) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        try:
            end = os.fstat(descriptor).st_size
            try:
                written = os.write(descriptor, data)
                if written != len(data):
                    raise OSError(28, "No space left on device", str(self.path))
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)
        sync_folder(self.path.parent)

    def read(self) -> list[Entry]:
        """Return the waiting entries, in order."""
        with self._lock:
            return [*read_file(self.path), *self.unwritten]

    def clear(self, applied: int) -> None:
        """Forget the first ``applied`` entries, which the database has now; later ones stay."""
        with self._lock:
            rest = [*read_file(self.path), *self.unwritten][applied:]
            self.path.unlink(missing_ok=True)
            self.unwritten = []
            self.count = 0
        if rest:
            self.append(rest)


def waiting(location: Location) -> list[Path]:
    """Return the spool files beside a database, oldest first."""
    folder = location.data_folder() / FOLDER
    try:
        return sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    except OSError:
        return []


def spool_path(location: Location, attempt_id: str) -> Path:
    """Return the spool file of an attempt."""
    return location.data_folder() / FOLDER / f"{attempt_id}.jsonl"


def read_file(path: Path) -> list[Entry]:
    """Return the entries of a spool file; lines that are torn or damaged are left out."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [entry for entry in map(_parse, lines) if entry is not None]


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in a folder survive power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(entry: Entry) -> str:
    text = json.dumps(entry, default=_bytes, separators=(",", ":"))
    return f"{crc32(text.encode()):08x} {text}\n"


def _bytes(value: Any) -> dict[str, str]:
    return {"$bytes": base64.b64encode(value).decode()}


def _parse(line: bytes) -> Entry | None:
    digest, _, text = line.partition(b" ")
    if not text or digest != f"{crc32(text):08x}".encode():
        return None
    entry: Entry = json.loads(text, object_hook=_restore)
    return entry


def _restore(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["$bytes"]) if value.keys() == {"$bytes"} else value
