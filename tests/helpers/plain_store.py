"""``plain://``: a remote folder that shows files while they are written, as SFTP does; each write is an audit event."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

PIECE = 64


class _File:
    """A file that is written piece by piece, and not buffered."""

    def __init__(self, path: str, mode: str) -> None:
        self._file = Path(path).open(mode, buffering=0)  # noqa: SIM115 - closed by its user

    def write(self, data: bytes) -> int:
        for start in range(0, len(data), PIECE):
            sys.audit("plain.write", self._file.name)
            self._file.write(data[start : start + PIECE])
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class PlainFileSystem(LocalFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """A disk of this machine under another name."""

    protocol = "plain"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(path).removeprefix("plain://").rstrip("/")

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        return _File(path, mode)


def register() -> None:
    """Let fsspec know it."""
    fsspec.register_implementation("plain", PlainFileSystem, clobber=True)
