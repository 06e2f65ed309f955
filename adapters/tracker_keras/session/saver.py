"""How ModelCheckpoint has Keras save: into a file that appears whole, or that a thread writes later."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from tracker_keras.session.room import require_room, weights_size

Write = Callable[[Path, Callable[[Path], object], bool], str | None]
"""Called with a path, with what saves to any path, and whether that makes one file; returns why it did not save."""


def is_of_keras(model: Any, how: str) -> bool:
    """Say whether a model is saved by Keras' own method, which writes one file."""
    return getattr(type(model), how, None) is getattr(keras.Model, how)


class Saver:
    """Stands in for the model while Keras saves it: the same calls, but the file appears whole.

    Args:
        model: the model.
        write: puts the file in its place.

    Attributes:
        path: the file that was saved; None where none was.
        refused: why it was not, where a better one is in its place.
    """

    def __init__(self, model: Any, write: Write) -> None:
        self._model = model
        self._write = write
        self.path: Path | None = None
        self.refused: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def save(self, filepath: str, overwrite: bool = True, **kwargs: Any) -> None:
        """Save the model."""
        self._put(filepath, "save", kwargs)

    def save_weights(self, filepath: str, overwrite: bool = True, **kwargs: Any) -> None:
        """Save the weights."""
        self._put(filepath, "save_weights", kwargs)

    def _put(self, filepath: str, how: str, kwargs: dict[str, Any]) -> None:
        def save(path: str | Path) -> None:
            getattr(self._model, how)(str(path), overwrite=True, **kwargs)

        def save_where_it_fits(path: Path) -> None:
            require_room(path.parent, weights_size(self._model))
            save(path)

        if "://" in filepath:  # a bucket: it has no folder to rename in
            save(filepath)
            return
        path = Path(filepath)
        if path.is_symlink():  # the link stays, as when Keras writes in place
            path = path.resolve()
        # A model with a method of its own may write more files, named after the one it is given.
        whole = is_of_keras(self._model, how)
        if whole and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a directory", filepath)
        self.refused = self._write(path, save_where_it_fits, whole)
        self.path = path if self.refused is None else None
