"""Load files of Keras without running code from them, and say which weights fit."""

from __future__ import annotations

import io
import tempfile
import zipfile
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import keras

import tracker
from tracker.files import inspect_file, is_same

Shapes = dict[str, tuple[int, ...]]
_MOST_NAMES = 10
"""Names of weights in an error."""


def load_checkpoint(
    source: str | PathLike[str] | tracker.Checkpoint, model: Any = None, *, strict: bool = True
) -> dict[str, Any]:
    """Load a ``.keras`` or ``.weights.h5`` file, in Keras' safe mode.

    Args:
        source: a path, or a `tracker.Checkpoint`, whose size and sha256 are then checked first.
        model: the model that was saved; its weights are loaded, and its optimizer's where the file has them.
            None: the whole model of a ``.keras`` file.
        strict: whether all weights have to fit the model; else those that fit are loaded.

    Returns:
        ``model``; and the names of the weights that were not loaded: ``missing`` in the file,
        ``unexpected`` by the model, ``mismatched`` in shape.

    Raises:
        tracker.CheckpointError: the file is missing, changed, or no such file; its weights do not fit.
    """
    path = _verified(source)
    try:
        if model is None:
            return {"model": keras.saving.load_model(path, safe_mode=True)}
        saved = _shapes_in(path)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise tracker.CheckpointError(f"{path} cannot be loaded: {error}") from error
    report = compared(saved, _shapes_of(model))
    if strict and any(report.values()):
        raise tracker.CheckpointError(
            f"{path} does not fit the model {model.name}, and nothing was loaded: {_worded(report)}. "
            f"With strict=False what fits is loaded."
        )
    try:
        model.load_weights(path, skip_mismatch=any(report.values()))
    except ValueError as error:
        raise tracker.CheckpointError(f"{path} cannot be loaded: {error}") from error
    return {"model": model, **report}


def compared(saved: Shapes, present: Shapes) -> dict[str, list[str]]:
    """Return which weights are missing in what was saved, which are unexpected, which have another shape."""
    return {
        "missing": sorted(present.keys() - saved.keys()),
        "unexpected": sorted(saved.keys() - present.keys()),
        "mismatched": sorted(
            name for name in saved.keys() & present.keys() if saved[name] != present[name]
        ),
    }


def _worded(report: dict[str, list[str]]) -> str:
    words = {
        "missing": "missing in the file",
        "unexpected": "unexpected",
        "mismatched": "of another shape",
    }
    return "; ".join(
        f"{words[kind]}: {', '.join(names[:_MOST_NAMES])}{' …' if len(names) > _MOST_NAMES else ''}"
        for kind, names in report.items()
        if names
    )


def _verified(source: str | PathLike[str] | tracker.Checkpoint) -> str:
    """Return the path of a file that is whole: one that is being saved beside the training is waited for."""
    if (run := tracker.active_run()) is not None:
        run.wait_for_saves()
    if not isinstance(source, tracker.Checkpoint):
        return str(Path(source).expanduser())
    file = inspect_file(source.path)
    if file is None:
        raise tracker.CheckpointError(
            f"The file {source.path} of checkpoint {source.id} is missing, or cannot be read."
        )
    if not is_same(file, source):
        raise tracker.CheckpointError(
            f"{source.path} is not the file that was saved: it has {file.bytes} bytes and the sha256 "
            f"{file.sha256[:12]}…, recorded were {source.bytes} bytes and {source.sha256[:12]}…."
        )
    return str(source.path)


def _shapes_in(path: str) -> Shapes:
    """Return the weights of a file with their shapes, those of its optimizer left out."""
    if not path.endswith(".keras"):
        return _read_shapes(path)
    with zipfile.ZipFile(path) as archive:
        return _read_shapes(io.BytesIO(archive.read("model.weights.h5")))


def _shapes_of(model: Any) -> Shapes:
    """Return the weights that a file of this model would have."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/now.weights.h5"
        model.save_weights(path)
        return _read_shapes(path)


def _read_shapes(file: Any) -> Shapes:
    shapes: Shapes = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer/"):
            shapes[name.replace("/vars/", "/")] = tuple(item.shape)

    with h5py.File(file, "r") as content:
        content.visititems(note)
    return shapes
