"""The two kinds of checkpoint file: ``.pt`` with everything, ``.safetensors`` with the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tracker import Checkpoint, CheckpointError, UsageError, active_run
from tracker.files import inspect_file, is_same
from tracker_torch.state import groups, serialization

ABOUT = ("epoch", "step", "epoch_step", "complete")
SUFFIXES = (".pt", ".pth", ".safetensors")


def write_weights(model: Any, path: Path, about: Mapping[str, int | None]) -> None:
    """Write the weights alone: as safetensors, or as the ``state_dict()`` that `torch.load` returns.

    Args:
        model: a module, or several as a mapping or sequence.
        path: what its name ends with says which.
        about: whole numbers that are kept in the header of a safetensors file.
    """
    if path.suffix == ".safetensors":
        _write_safetensors(partial(_whole, model), path, about)
    else:
        serialization.write(serialization.state_of(model), path)


def snapshot_of_weights(
    model: Any, suffix: str, about: Mapping[str, int | None], copy: Callable[[Tensor], Tensor]
) -> Callable[[Path], None]:
    """Return what does `write_weights` later, with the weights as they are now.

    Args:
        model: as there.
        suffix: what the names of the files will end with.
        about: as there.
        copy: returns a copy of a tensor.
    """
    if suffix != ".safetensors":
        state = serialization.plain(serialization.state_of(model), copy=copy)
        return partial(serialization.write, state)
    taken: _Copied | Exception
    try:
        taken = _Copied(
            {
                name: copy(value) if isinstance(value, Tensor) else value
                for name, value in _whole(model).state_dict().items()
            }
        )
    except _NO_PLACE as error:
        taken = error

    def whole() -> _Copied:
        if isinstance(taken, Exception):
            raise taken
        return taken

    return partial(_write_safetensors, whole, about=about)


_NO_PLACE = (AttributeError, KeyError, RuntimeError, TypeError, ValueError)
"""What the format, or its library, raises for what it has no place for: extra states, sparse and complex tensors,
views, two tensors of one name."""


def _write_safetensors(
    whole: Callable[[], Any], path: Path, about: Mapping[str, int | None]
) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_model

    try:
        save_model(
            whole(),
            str(path),
            {name: str(int(value)) for name, value in about.items() if value is not None},
        )
    except SafetensorError as error:
        raise OSError(f"{path} could not be written: {error}") from error
    except _NO_PLACE as error:
        raise OSError(
            f"{path} could not be written: a .safetensors file does not take all of this model's state "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}). A .pt file does"
        ) from error


class _Copied:
    """Copied weights, where the library of safetensors asks a model for its own."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        self._weights = weights

    def state_dict(self) -> dict[str, Any]:
        """Return them; the library takes out what is there twice."""
        return dict(self._weights)


def load_checkpoint(
    source: str | Path | Checkpoint,
    model: Any = None,
    optimizer: Any = None,
    scheduler: Any = None,
    scaler: Any = None,
    *,
    rng: bool = False,
    strict: bool = True,
) -> dict[str, Any]:
    """Load a checkpoint into what is handed over, without running code from the file.

    Args:
        source: a path, or a `tracker.Checkpoint`, whose size and sha256 are then checked first.
        model: the module, or the mapping or sequence of modules, that was saved.
        optimizer: likewise, and so on; None leaves that part alone.
        scheduler: a `torch.optim.lr_scheduler`.
        scaler: a `torch.amp.GradScaler`.
        rng: whether to set the random generators as they were, too.
        strict: whether all weights have to fit the model; else those that fit are loaded.

    Returns:
        ``epoch`` (0-based) and ``step`` (how many were done), None where the file does not say, and
        ``complete``: whether that epoch was over. With ``strict=False`` also the names of the weights
        that were not loaded: ``missing`` in the file, ``unexpected`` by the model, ``mismatched`` in shape.

    Raises:
        CheckpointError: the file is missing, changed, incomplete, of other models, made by a newer
            version, or has no such part; nothing is loaded then.
    """
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    if strict:
        about, _ = load_parts(source, parts, rng=rng, need_all=True)
        report = {}
    else:
        report = load_what_fits(_verified(source), model)
        about, _ = load_parts(source, {**parts, "model": None}, rng=rng, need_all=True)
    return {**{name: about[name] for name in ("epoch", "step", "complete")}, **report}


def load_what_fits(path: Path, model: Any) -> dict[str, list[str]]:
    """Load the weights of a file that fit a model; returns the names of the others, see `load_checkpoint`."""
    saved = _weights(path)
    report: dict[str, list[str]] = {"missing": [], "unexpected": [], "mismatched": []}
    modules = serialization.named(model)
    if "" in modules:
        saved = {"": saved}
    elif path.suffix == ".safetensors":
        saved = {
            name: {key[len(name) + 1 :]: saved[key] for key in saved if key.startswith(f"{name}.")}
            for name in modules
        }
    for name, module in modules.items():
        target, prefix = serialization.unwrap(module), f"{name}." if name else ""
        state = dict(saved.get(name, {}))
        present = target.state_dict()
        other = [
            key
            for key, value in state.items()
            if hasattr(present.get(key), "shape")
            and present[key].shape != getattr(value, "shape", None)
        ]
        result = target.load_state_dict(
            {key: value for key, value in state.items() if key not in other}, strict=False
        )
        report["missing"] += [prefix + key for key in result.missing_keys if key not in other]
        report["unexpected"] += [prefix + key for key in result.unexpected_keys]
        report["mismatched"] += [prefix + key for key in other]
    return report


def _weights(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return _payload(path)["model"]
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be loaded: {error}") from error


def load_parts(
    source: str | Path | Checkpoint, parts: Mapping[str, Any], *, rng: bool, need_all: bool
) -> tuple[dict[str, Any], list[str]]:
    """Load what a checkpoint has of ``parts``.

    Returns:
        What `load_checkpoint` returns and ``next_step``, to count on from: an epoch that was not
        over is trained again from its beginning. And the names of the parts that the file lacks.

    Raises:
        CheckpointError: as `load_checkpoint`; for missing parts with ``need_all`` only.
    """
    path = _verified(source)
    payload = _payload(path)
    first, step = payload.get("epoch_step"), payload["step"] or 0
    payload["next_step"] = step if payload["complete"] or first is None else first
    wanted = {part: target for part, target in parts.items() if serialization.named(target)}
    missing = [part for part in wanted if not _has(payload, part, wanted[part])]
    if rng and payload.get("rng") is None:
        missing.append("random generators")
    if missing and need_all:
        held = [part for part in (*serialization.PARTS, "rng") if payload.get(part) is not None]
        raise CheckpointError(
            f"{path} holds no {' and no '.join(missing)}: it holds {', '.join(held)}. Leave out what "
            f"it does not hold, or load a .pt file saved without save_weights_only."
        )
    if path.suffix != ".safetensors":
        if "optimizer" in wanted and payload.get("groups"):
            groups.rebuild(parts.get("model"), wanted["optimizer"], payload["groups"])
        for part in wanted.keys() - set(missing):
            serialization.load_state(wanted[part], payload[part], part)
    elif "model" in wanted:
        _load_safetensors(path, wanted["model"])
    if rng and payload.get("rng") is not None:
        serialization.set_rng_state(payload["rng"])
    return payload, missing


def _has(payload: Mapping[str, Any], part: str, target: Any) -> bool:
    """A scaler that was switched off has an empty state, which says nothing to one that is not."""
    state = payload.get(part)
    return state is not None and (bool(state) or not serialization.state_of(target))


def _payload(path: Path) -> dict[str, Any]:
    """Read a file as what `state.collect` returns, as far as it goes."""
    if path.suffix == ".safetensors":
        about = _header(path)
        complete = bool(about.get("complete", 1))
        return {"epoch": None, "step": None, **about, "model": path, "complete": complete}
    payload = serialization.read(path)
    if not serialization.is_whole(payload, path):
        return {"model": payload, "epoch": None, "step": None, "complete": True}
    return {"complete": payload.get("batch") is None, **payload}


def _verified(source: str | Path | Checkpoint) -> Path:
    """Return the path of a file that is whole: one that is being saved beside the training is waited for."""
    if (run := active_run()) is not None:
        run.wait_for_saves()
    if not isinstance(source, Checkpoint):
        return Path(source).expanduser()
    path = Path(source.path)
    # Who moved the file may have put a link in its place.
    present = inspect_file(path.resolve())
    if present is None:
        raise CheckpointError(
            f"the file {path} of checkpoint {source.id} is missing, or cannot be read."
        )
    if not is_same(present, source):
        raise CheckpointError(
            f"{path} is not the file that was saved: it has {present.bytes} bytes and the sha256 "
            f"{present.sha256[:12]}…, recorded were {source.bytes} bytes and {source.sha256[:12]}…. "
            f"It was changed or replaced since."
        )
    return path


def _header(path: Path) -> dict[str, int]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            about = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be loaded: {error}") from error
    return {name: int(about[name]) for name in ABOUT if name in about and about[name].isdecimal()}


def _load_safetensors(path: Path, model: Any) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    try:
        load_model(_whole(model), str(path))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise CheckpointError(f"{path} cannot be loaded: {error}{_misfits(path, model)}") from error


def _misfits(path: Path, model: Any) -> str:
    """Say which weights the file lacks, and which the model does not have: torch stops at the first shape."""
    try:
        saved = set(_weights(path))
    except CheckpointError:
        return ""
    present = set(_whole(model).state_dict())
    parts = {"missing in the file": present - saved, "unexpected": saved - present}
    said = [f"{what}: {', '.join(sorted(names)[:10])}" for what, names in parts.items() if names]
    return f" ({'; '.join(said)})" if said else ""


def _whole(model: Any) -> nn.Module:
    modules = {
        name: serialization.unwrap(module) for name, module in serialization.named(model).items()
    }
    return modules[""] if "" in modules else _Several(modules)


class _Several(nn.Module):
    """Several modules in one file; unlike `nn.ModuleDict` it takes any names, ``net.g`` and ``keys`` too."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._modules.update(modules)
        if len(self.state_dict()) < sum(len(module.state_dict()) for module in modules.values()):
            raise UsageError(
                f"the models are named {', '.join(map(repr, modules))}, and two of their tensors would "
                f"have the same name in a .safetensors file: name them otherwise, or save a .pt file."
            )

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        metadata: Any,
        strict: bool,
        missing: Any,
        unexpected: list[str],
        errors: Any,
    ) -> None:
        """Note what belongs to none of them; torch would split the names at their dots."""
        known = tuple(f"{name}." for name in self._modules)
        unexpected += [key for key in state_dict if not key.startswith(known)]
