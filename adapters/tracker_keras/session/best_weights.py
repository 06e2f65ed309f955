"""The best weights that EarlyStopping holds in memory, found again after a kill."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tracker
from tracker.files import inspect_file, is_same
from tracker_keras.session.session import Session

Weights = list[Any]


def find_weights(session: Session, callback: object, epoch: int) -> Weights | None:
    """Return the model's weights after ``epoch`` from a backup or a checkpoint; None without one."""
    now: Weights = session.model.get_weights()
    place = _place(session, callback)
    for one in session.members:
        folder = getattr(one, "backup_dir", None)
        if folder is not None and (found := read(Path(folder) / _name(place, epoch), now)):
            return found
    if session.first_epoch == epoch + 1:
        return now
    for checkpoint in reversed(session.run.checkpoints()):
        path = checkpoint.path.resolve()  # who moved the file may have put a link in its place
        if checkpoint.epoch == epoch and is_same(inspect_file(path), checkpoint):
            found = _fitting(_load(session.model, checkpoint.path), now)
            if found is not None:
                return found
    return None


def keep(folder: Path, session: Session, kept: dict[str, Weights], done: int | None) -> set[str]:
    """Write what a resume at the coming epoch will need beside the backup; returns the names.

    Args:
        folder: of the backup.
        session: whose EarlyStopping callbacks are looked at.
        kept: what has been written already, by name; updated.
        done: the epoch whose end the backup itself holds; None within an epoch.
    """
    needed = set()
    for place, one in enumerate(_stoppers(session)):
        weights, epoch = one.best_weights, one.best_epoch
        if not one.restore_best_weights or weights is None or one.best is None:
            continue
        if epoch == done and not session.has_strangers:
            continue
        name = _name(place, epoch)
        needed.add(name)
        if kept.get(name) is not weights:
            arrays = {f"{index:05d}": array for index, array in enumerate(weights)}
            tracker.save_file(folder / name, functools.partial(_write, arrays))
            kept[name] = weights
    return needed


def _write(arrays: dict[str, Any], path: Path) -> None:
    np.savez(path, **arrays)


def sweep(folder: Path, needed: set[str]) -> None:
    """Delete the copies that no resume needs any more."""
    for path in folder.glob("best-*-*.npz"):
        if path.name not in needed:
            path.unlink(missing_ok=True)


def read(path: Path, like: Weights) -> Weights | None:
    """Read weights that `keep` has written, of the shapes and types of ``like``; None if they differ."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [file[name] for name in sorted(file.files)]
    except (OSError, ValueError, EOFError):
        return None
    return _fitting(arrays, like)


def _stoppers(session: Session) -> list[Any]:
    return [one for one in session.members if isinstance(one, keras.callbacks.EarlyStopping)]


def _place(session: Session, callback: object) -> int:
    return next((at for at, one in enumerate(_stoppers(session)) if one is callback), 0)


def _name(place: int, epoch: int) -> str:
    return f"best-{place}-{epoch}.npz"


def _fitting(arrays: Weights | None, like: Weights) -> Weights | None:
    if arrays is None or len(arrays) != len(like):
        return None
    if any(one.shape != other.shape for one, other in zip(arrays, like, strict=True)):
        return None
    return [  # NumPy gives types that are not its own (bfloat16) back as bytes
        one.view(other.dtype) if one.dtype.kind == "V" else one
        for one, other in zip(arrays, like, strict=True)
    ]


def _load(model: Any, path: Path) -> Weights | None:
    try:
        if not path.name.endswith(".weights.h5"):
            loaded = keras.saving.load_model(path, compile=False, safe_mode=True)
            found: Weights = loaded.get_weights()
            return found
        with tempfile.TemporaryDirectory() as folder:
            now = str(Path(folder) / "now.weights.h5")
            model.save_weights(now)
            try:
                model.load_weights(str(path))
                found = model.get_weights()
            finally:
                model.load_weights(now)  # it had changed the optimizer as well
            return found
    except Exception:  # classes that cannot be rebuilt, another architecture: there is no copy then
        return None
