"""A file in memory: Keras writes it at once, and a thread brings it to its place while training continues."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tracker.files import discard, sweep, temporary_path

_CHUNK = 1 << 20
_SPARE = 16 << 20
"""Bytes that a file may take beyond its weights."""


class MemoryFile:
    """What ``save`` writes, byte for byte; it has no name any more once it is written.

    Args:
        name: what its path ends with while it is written: Keras looks at suffixes.
        size: about how many bytes it will take.
        save: called with that path.

    Raises:
        OSError: there is no room for it. What ``save`` raises comes out unchanged.
    """

    def __init__(self, name: str, size: int, save: Callable[[Path], object]) -> None:
        folder = _folder_for(size)
        # Where a process is killed while it writes, its file is left.
        sweep(folder)
        own = temporary_path(folder / "save")
        try:
            own.mkdir(mode=0o700)
            save(own / name)
            self._file = (own / name).open("rb")
        finally:
            discard(own)

    def write_to(self, path: Path) -> None:
        """Write its bytes to ``path``."""
        self._file.seek(0)
        with path.open("wb") as target:
            shutil.copyfileobj(self._file, target, _CHUNK)

    def close(self) -> None:
        """Give the memory back."""
        self._file.close()


def _folder_for(size: int) -> Path:
    """Return a folder that is in memory and has room; where there is none, the system's for temporary files."""
    memory = Path("/dev/shm")
    try:
        if shutil.disk_usage(memory).free > size + _SPARE:
            return memory
    except OSError:
        pass  # no folder in memory on this system
    return Path(tempfile.gettempdir())
