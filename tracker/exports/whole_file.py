"""The file that an export writes: it is there whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tracker.errors import NotWritable
from tracker.files import save_file


def save_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Call ``write`` with a file beside ``path``, then rename that to ``path``; returns it, absolute.

    Devices and pipes are written directly.

    Raises:
        NotWritable: when the folder or file cannot be written.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            write(path)
            return path
        if path.is_dir():
            raise NotWritable(f"{path} is a folder: name a file in it.")
        if path.exists() and not os.access(path, os.W_OK):
            raise NotWritable(f"{path} is write-protected: name another file.")
        return save_file(path, write).path
    except OSError as error:
        raise NotWritable(f"{path} cannot be written: {error.strerror or error}.") from error
