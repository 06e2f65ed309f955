"""What is worth knowing about a torch training: models, optimizers, devices, precision, versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tracker_torch.state.serialization import named, unwrap

_SHOWN = (bool, int, float, str, type(None))


def describe(model: Any, optimizer: Any, scheduler: Any, scaler: Any) -> dict[str, Any]:
    """Return JSON-ready sections for ``run.capture``: model, optimizer, scheduler, torch."""
    return {
        "model": models(model),
        "optimizer": _each(optimizer, _optimizer),
        "scheduler": _each(scheduler, lambda scheduler: {"class": _class(scheduler)}),
        "torch": {
            "version": torch.__version__,
            "cuda": torch.version.cuda,
            "device_name": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "grad_scaler": bool(scaler is not None and scaler.is_enabled()),
        },
    }


def models(model: Any) -> Any:
    """Return the section for one model, or for each of several by name; None for none."""
    return _each(model, _model)


def is_unbuilt(model: Any) -> bool:
    """Whether a layer of a model has no size before its first batch."""
    return any(
        isinstance(parameter, nn.parameter.UninitializedParameter)
        for one in named(model).values()
        for parameter in unwrap(one).parameters()
    )


def _each(things: Any, describe_one: Any) -> Any:
    described = {name: describe_one(thing) for name, thing in named(things).items()}
    return described.get("", described) if described else None


def _model(module: nn.Module) -> dict[str, Any]:
    inner = unwrap(module)
    parameters = list(inner.parameters())
    sizes: dict[str, int] = {}
    if not is_unbuilt(inner):
        sizes["parameters"] = sum(p.numel() for p in parameters)
        sizes["trainable"] = sum(p.numel() for p in parameters if p.requires_grad)
    return {
        "class": _class(inner),
        **sizes,
        "device": _counted(str(p.device) for p in parameters),
        "dtype": _counted(str(p.dtype).removeprefix("torch.") for p in parameters),
        "compiled": hasattr(module, "_orig_mod"),
    }


def _counted(names: Any) -> Any:
    counts = Counter(names)
    return next(iter(counts), None) if len(counts) < 2 else dict(counts)


def _optimizer(optimizer: Any) -> dict[str, Any]:
    return {
        "class": _class(optimizer),
        "groups": [
            {"parameters": len(group["params"]), **group_settings(group)}
            for group in optimizer.param_groups
        ],
    }


def group_settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a group of parameters that are numbers, text, or lists of them."""
    settings: dict[str, Any] = {}
    for name, value in group.items():
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            value = value.item()
        if isinstance(value, _SHOWN):
            settings[name] = value
        elif isinstance(value, (list, tuple)) and all(isinstance(item, _SHOWN) for item in value):
            settings[name] = list(value)
    return settings


def _class(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}".removeprefix("__main__.")
