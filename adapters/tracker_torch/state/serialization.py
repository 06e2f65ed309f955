"""What a training consists of, taken apart into plain data and put together again.

Files are written by `torch.save` from tensors, numbers, text and containers only, and read with
``weights_only=True``: loading one of them never runs code.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy
import torch
from torch import nn

from tracker import CheckpointError, UsageError

T = TypeVar("T")
FORMAT = "tracker_torch"
VERSION = 1
_SCALARS = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_SEQUENCES = (list, tuple, set)
PARTS = ("model", "optimizer", "scheduler", "scaler")


def unwrap(module: nn.Module) -> nn.Module:
    """Return the user's own module inside `torch.compile` and data-parallel wrappers."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if inner is None and isinstance(
            module, (nn.DataParallel, nn.parallel.DistributedDataParallel)
        ):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def named(things: T | Mapping[str, T] | Iterable[T] | None) -> dict[str, T]:
    """Return ``{name: thing}`` for one thing (named ``""``), a mapping or a sequence of them.

    A module that is itself a container (`nn.Sequential`, `nn.ModuleDict`) counts as one.
    """
    if things is None:
        return {}
    if isinstance(things, Mapping) and not isinstance(things, nn.Module):
        return {str(name): thing for name, thing in things.items()}
    if isinstance(things, (list, tuple)):
        return {str(number): thing for number, thing in enumerate(things)}
    # What else can be iterated over is one thing, too.
    return {"": cast("T", things)}


def state_of(things: Any) -> Any:
    """Return the ``state_dict()`` of one thing, or a dict of them for several; None for none.

    A scaler that is switched off has an empty one, ``{}``.
    """
    states = {name: _state_dict(thing) for name, thing in named(things).items()}
    return states.get("", states) if states else None


def _state_dict(thing: Any) -> Any:
    return (unwrap(thing) if isinstance(thing, nn.Module) else thing).state_dict()


def load_state(things: Any, state: Any, part: str = "model") -> None:
    """Hand ``state``, as `state_of` returned it, back to the same thing or things.

    Raises:
        CheckpointError: the state belongs to other things than these.
    """
    targets = named(things)
    if state is None or not targets or (part == "scaler" and not state):
        return
    if not isinstance(state, Mapping):
        raise CheckpointError(
            f"the saved {part} state is a {type(state).__name__}: it must be what state_dict() returns."
        )
    states = _with_counters({"": state} if "" in targets else state)
    if set(states) != set(targets):
        raise CheckpointError(
            f"the saved {part} state is of {_names(states)}, but there are {_names(targets)} now. "
            f"Hand over the same ones under the same names."
        )
    for name, thing in targets.items():
        if part == "optimizer":
            _check_groups(thing, states[name])
        try:
            (unwrap(thing) if isinstance(thing, nn.Module) else thing).load_state_dict(states[name])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"the saved {part} state does not fit {type(thing).__name__}: {error}"
            ) from error


def _check_groups(optimizer: Any, state: Any) -> None:
    """Refuse the state of an optimizer with other groups, and say how to come to the same ones."""
    saved, present = len(state.get("param_groups", ())), len(optimizer.param_groups)
    kind = type(optimizer).__name__
    if saved > present:
        raise CheckpointError(
            f"the saved optimizer state has {saved} groups of parameters, and {kind} has {present}: they were "
            f"added while training ran, and hold parameters that the model does not have now. Add them with "
            f"add_param_group() before training begins."
        )
    if saved < present:
        raise CheckpointError(
            f"the saved optimizer state has {saved} groups of parameters, and {kind} has {present} already: it "
            f"was saved before they were added. Add them in the epoch that did so, not before training "
            f"begins; or delete the backup to begin anew."
        )


def _with_counters(state: Any) -> Any:
    """Make MultiStepLR's milestones what they were: in a file they are a plain dict."""
    if isinstance(state, list):
        return [_with_counters(item) for item in state]
    if not isinstance(state, dict) or isinstance(state, OrderedDict):
        return state
    restored = {name: _with_counters(item) for name, item in state.items()}
    if "milestones" in restored and isinstance(restored["milestones"], dict):
        restored["milestones"] = Counter(restored["milestones"])
    return restored


def _names(states: Mapping[str, Any]) -> str:
    return ", ".join(repr(str(name)) for name in states) or "nothing"


def weights_on_cpu(model: Any, into: dict[str, Any] | None = None) -> dict[str, Any]:
    """Copy the model's state to the CPU, into the tensors of an earlier copy where they fit."""
    copies = {}
    for name, module in named(model).items():
        state, spare = _state_dict(module), (into or {}).get(name, {})
        copies[name] = _like(
            state, ((key, _on_cpu(item, spare.get(key))) for key, item in state.items())
        )
    return copies


def _on_cpu(value: Any, spare: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return plain(value, "the model's extra state")
    if value.is_meta:
        raise UsageError(
            "the model's weights are on the meta device, where they have no values to keep: "
            "give it some before training, as with model.to_empty(device='cpu')."
        )
    if isinstance(spare, torch.Tensor) and (spare.shape, spare.dtype) == (value.shape, value.dtype):
        return spare.copy_(value)
    return value.detach().to("cpu", copy=True)


def restore_weights(model: Any, weights: Mapping[str, Any]) -> None:
    """Put back what `weights_on_cpu` copied."""
    load_state(model, weights[""] if "" in weights else dict(weights))


def rng_state() -> dict[str, Any]:
    """Return the state of every random generator a training draws from: torch's, Python's, NumPy's."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = numpy.random.get_state()
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": [version, torch.tensor(words), gauss],
        "numpy": [
            name,
            torch.from_numpy(numpy.asarray(keys).astype("int64")),
            position,
            has_gauss,
            cached,
        ],
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_rng_state(states: Mapping[str, Any]) -> None:
    """Set the generators to what `rng_state` returned; devices that are not there are passed over."""
    torch.set_rng_state(states["torch"])
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    numpy.random.set_state((name, keys.numpy().astype("uint32"), position, has_gauss, cached))
    if "cuda" in states and torch.cuda.device_count() >= len(states["cuda"]):
        torch.cuda.set_rng_state_all(states["cuda"])
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])


def collect(loop: Any) -> dict[str, Any]:
    """Return what a training continues from: models, optimizers, scheduler, scaler, RNG, epoch, step."""
    payload = {part: state_of(getattr(loop, part)) for part in PARTS}
    return {
        FORMAT: VERSION,
        **payload,
        "rng": rng_state(),
        **place(loop),
        "settings": loop.settings.begun,
    }


def place(loop: Any, **more: Any) -> dict[str, Any]:
    """Return where a training is: epoch, step, and the step that the epoch began at, where known."""
    first = loop.position.first_step(loop.epoch)
    return {"epoch": loop.epoch, "step": loop.step, "epoch_step": first, **more}


def plain(
    value: Any, where: str = "state", copy: Callable[[torch.Tensor], torch.Tensor] | None = None
) -> Any:
    """Return ``value`` with containers and numbers that ``weights_only=True`` reads back.

    Args:
        value: what a ``state_dict()`` holds.
        where: what it is, for an error.
        copy: returns what stands for a tensor; None: the tensor itself.

    Raises:
        UsageError: something in it could be loaded by unpickling only, or is a shard of a tensor.
    """
    if isinstance(value, torch.Tensor):
        if hasattr(value, "full_tensor"):
            raise UsageError(
                f"{where} is a shard of a distributed tensor: one file cannot hold it. "
                f"Save sharded models with torch.distributed.checkpoint."
            )
        return value if copy is None else copy(value)
    if isinstance(value, numpy.generic):
        return value.item()
    if isinstance(value, numpy.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, _SCALARS) and not isinstance(value, type):
        return value
    if isinstance(value, Mapping):
        items = (
            (plain(key, where, copy), plain(item, f"{where}.{key}", copy))
            for key, item in value.items()
        )
        return _like(value, items)
    if isinstance(value, _SEQUENCES):
        kind = next(kind for kind in _SEQUENCES if isinstance(value, kind))
        return kind(plain(item, f"{where}[{number}]", copy) for number, item in enumerate(value))
    raise UsageError(
        f"{where} holds {_article(type(value).__name__)}: checkpoints take tensors, numbers, text and "
        f"containers of them, so that loading one never runs code. Leave it out of state_dict()."
    )


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _like(state: Mapping[Any, Any], items: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Keep what a module's ``state_dict()`` says beside its tensors: the version of each layer."""
    if not hasattr(state, "_metadata"):
        return dict(items)
    kept = OrderedDict(items)
    kept._metadata = state._metadata  # type: ignore[attr-defined]  # torch's own name
    return kept


def write(payload: Mapping[str, Any], path: Path) -> None:
    """Write ``payload`` to ``path`` with `torch.save`.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    # Given a path, torch turns a full disk into a RuntimeError.
    with path.open("wb") as file:
        torch.save(plain(payload), file)


def is_whole(payload: Any, path: Path) -> bool:
    """Say whether a file that was read holds what `collect` returned; False: weights alone.

    Raises:
        CheckpointError: it holds something else, too little, or what only a newer version can read.
    """
    if not isinstance(payload, Mapping):
        raise CheckpointError(
            f"{path} holds {_article(type(payload).__name__)}: a checkpoint is a state_dict(), or "
            f"what ModelCheckpoint saves."
        )
    if FORMAT not in payload:
        return False
    if payload[FORMAT] != VERSION:
        raise CheckpointError(
            f"{path} has format {payload[FORMAT]!r}, and this version of local-tracker reads format "
            f"{VERSION}: upgrade local-tracker to load it."
        )
    lacking = [name for name in (*PARTS, "rng", "epoch", "step") if name not in payload]
    if lacking:
        raise CheckpointError(
            f"{path} is incomplete: it has no {', '.join(lacking)}. Load another checkpoint."
        )
    return True


def read(path: str | Path) -> Any:
    """Read a file of `torch.save` onto the CPU, without running code.

    Raises:
        CheckpointError: it is missing, cut off, or needs unpickling.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no file {path}.") from error
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        # Torch adds the advice to pass weights_only=False.
        raise CheckpointError(
            f"{path} cannot be read with weights_only=True ({why.split('. ')[0].rstrip('.')}). "
            f"It is incomplete, or not a checkpoint of tensors and plain data."
        ) from error
