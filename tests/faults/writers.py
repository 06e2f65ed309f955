"""Works that save files as Keras, torch and safetensors write them, and do with them whatever is done to files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import safetensors.torch
import torch

import tracker
from tests.faults.works import NOTED, note
from tracker.folders import inspect_path
from tracker.maintenance import store, upload
from tracker.storage.location import locate

# A thread of torch's would not be there after a fork.
torch.set_num_threads(1)
MODEL = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
TENSORS = {"weight": torch.zeros(64, 4), "bias": torch.zeros(4)}
WRITERS: dict[str, Callable[[Path], Any]] = {
    ".keras": MODEL.save,
    ".weights.h5": MODEL.save_weights,
    ".pt": partial(torch.save, TENSORS),
    ".safetensors": partial(safetensors.torch.save_file, TENSORS),
}
FOLDER = "/"
"""The suffix of a folder with shards."""
FORMATS = (*WRITERS, FOLDER)


def first(suffix: str) -> None:
    """Save the best of all."""
    with tracker.start_run("formats", system_metrics=False) as run:
        _save(run, "best", suffix, 0.1)


def later(suffix: str) -> None:
    """Replace it, save others, prune, clear the store, and copy what is left to a remote folder."""
    with tracker.start_run("formats", system_metrics=False) as run:
        _save(run, "best", suffix, 0.5)
        run.prune_checkpoints([_save(run, f"{number}", suffix, 0.7) for number in range(2)])
    store.clean(locate(), store.plan(locate(), "none"))
    planned = upload.plan(locate(), [run.id], f"file://{Path.cwd()}/far")
    for _, why in upload.upload(locate(), planned, jobs=1):
        assert why is None, why


def everything(suffix: str) -> None:
    """Do both."""
    first(suffix)
    later(suffix)


def _save(run: tracker.Run, name: str, suffix: str, value: float) -> tracker.Checkpoint:
    MODEL.layers[0].kernel.assign(torch.full((4, 2), value))
    for tensor in TENSORS.values():
        tensor.fill_(value)
    facts: dict[str, Any] = {"monitor": "loss", "value": value}
    if suffix != FOLDER:
        return run.save_checkpoint(f"{name}{suffix}", partial(_write, suffix=suffix), **facts)
    folder = Path(f"{name}-{value}")
    folder.mkdir()
    for shard in ("1.safetensors", "2.safetensors"):
        WRITERS[".safetensors"](folder / shard)
    return run.log_checkpoint(folder, **facts)


def _write(path: Path, suffix: str) -> None:
    """Write a file, and note that it is complete."""
    WRITERS[suffix](path)
    file = inspect_path(path)
    assert file is not None
    note(NOTED, file.sha256)
