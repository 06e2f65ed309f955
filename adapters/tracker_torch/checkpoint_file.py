"""The two kinds of checkpoint file: ``.pt`` with everything, ``.safetensors`` with the weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from tracker import Checkpoint, CheckpointError
from tracker_torch import state

SUFFIXES = (".pt", ".pth", ".safetensors")


def write_weights(model: Any, path: Path, about: Mapping[str, int]) -> None:
    """Write the weights alone: as safetensors, or as the ``state_dict()`` that `torch.load` returns.

    Args:
        model: a module, or several as a mapping or sequence.
        path: what its name ends with says which.
        about: whole numbers that are kept in the header of a safetensors file.
    """
    if path.suffix != ".safetensors":
        state.write(state.state_of(model) or {}, path)
        return
    from safetensors import SafetensorError
    from safetensors.torch import save_model

    try:
        save_model(
            _whole(model), str(path), {name: str(int(value)) for name, value in about.items()}
        )
    except SafetensorError as error:
        raise OSError(f"{path} could not be written: {error}") from error


def load_checkpoint(
    source: str | Path | Checkpoint,
    model: Any = None,
    optimizer: Any = None,
    scheduler: Any = None,
    scaler: Any = None,
    *,
    rng: bool = False,
) -> dict[str, Any]:
    """Load a checkpoint into what is handed over, without running code from the file.

    Args:
        source: a path, or a `tracker.Checkpoint`, whose size and sha256 are then checked first.
        model: the module, or the mapping or sequence of modules, that was saved.
        optimizer: likewise, and so on; None leaves that part alone.
        scheduler: a `torch.optim.lr_scheduler`.
        scaler: a `torch.amp.GradScaler`.
        rng: whether to set the random generators as they were, too.

    Returns:
        ``epoch`` (0-based) and ``step`` (how many were done), None where the file does not say, and
        ``complete``: whether that epoch was over.

    Raises:
        CheckpointError: the file is missing, changed, incomplete, of other models, or has no such part.
    """
    path = _verified(source)
    if path.suffix == ".safetensors":
        return _load_safetensors(path, model)
    payload = state.read(path)
    if not (isinstance(payload, dict) and state.FORMAT in payload):
        state.load_state(model, payload)
        return {"epoch": None, "step": None, "complete": True}
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    for part, target in parts.items():
        state.load_state(target, payload.get(part), part)
    if rng:
        state.set_rng_state(payload["rng"])
    return {name: payload[name] for name in ("epoch", "step", "complete")}


def _verified(source: str | Path | Checkpoint) -> Path:
    if not isinstance(source, Checkpoint):
        return Path(source)
    path = Path(source.path)
    if not path.is_file():
        raise CheckpointError(f"the file {path} of checkpoint {source.id} is missing.")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != source.sha256:
        raise CheckpointError(
            f"{path} is not the file that was saved: its sha256 is {found[:12]}…, "
            f"recorded was {source.sha256[:12]}…. It was changed or replaced since."
        )
    return path


def _load_safetensors(path: Path, model: Any) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_model

    try:
        with safe_open(str(path), framework="pt") as file:
            about = file.metadata() or {}
        if model is not None:
            load_model(_whole(model), str(path))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise CheckpointError(f"{path} cannot be loaded: {error}") from error
    found = {name: int(text) for name, text in about.items() if text.isdecimal()}
    return {
        "epoch": found.get("epoch"),
        "step": found.get("step"),
        "complete": bool(found.get("complete", 1)),
    }


def _whole(model: Any) -> nn.Module:
    modules = {name: state.unwrap(module) for name, module in state.named(model).items()}
    return modules[""] if "" in modules else nn.ModuleDict(modules)
