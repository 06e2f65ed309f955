"""What is written down about a training when it starts: model, optimizer, loss, fit and Keras."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import keras

KERAS_BATCH_SIZE = 32
"""What ``fit`` takes for arrays when no batch size is given."""


def facts(
    model: Any, params: Mapping[str, Any] | None, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Return JSON-ready sections for ``run.capture``.

    Args:
        model: the model, or whatever stands in for one.
        params: what Keras hands to callbacks: verbose, epochs, steps.
        arguments: those of ``fit``, where it is ``fit`` that runs.
    """
    sections: dict[str, Callable[[], Any]] = {
        "model": lambda: _model(model),
        "optimizer": lambda: _config(getattr(model, "optimizer", None)),
        "loss": lambda: _config(getattr(model, "loss", None)),
        "fit": lambda: _fit(params or {}, arguments),
        "keras": _keras,
    }
    found = {name: _or_none(read) for name, read in sections.items()}
    return {name: value for name, value in found.items() if value is not None}


def size(model: Any) -> dict[str, Any]:
    """Return the ``model`` section alone, for a model that is built only when it meets data."""
    found = _or_none(lambda: _model(model))
    return {} if found is None else {"model": found}


def _or_none(read: Callable[[], Any]) -> Any:
    try:
        return json.loads(json.dumps(read(), default=_plain))
    except Exception:  # a user's get_config may raise anything, and must not end a training
        return None


def _plain(value: Any) -> Any:
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", 1) == 1:
        return item()
    return getattr(value, "name", None) or repr(value)


def _model(model: Any) -> dict[str, Any] | None:
    if model is None:
        return None
    kind = type(model)
    found: dict[str, Any] = {"class": f"{kind.__module__}.{kind.__qualname__}"}
    if not isinstance(model, keras.Model):
        return found
    found.update(name=model.name, layers=len(model.layers))
    if model.built:
        trainable = _count(model.trainable_weights)
        fixed = _count(model.non_trainable_weights)
        found.update(
            parameters=trainable + fixed,
            trainable_parameters=trainable,
            non_trainable_parameters=fixed,
        )
    return found


def _count(weights: Any) -> int:
    total = 0
    for weight in weights:
        size = 1
        for length in weight.shape:
            size *= int(length)
        total += size
    return total


def _config(thing: Any) -> Any:
    """Describe an optimizer or losses: a name, or class and configuration; lists and dicts of them."""
    if thing is None or isinstance(thing, str):
        return thing
    if isinstance(thing, Mapping):
        return {str(name): _config(one) for name, one in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [_config(one) for one in thing]
    if hasattr(thing, "get_config"):
        return {"class": type(thing).__name__, "config": thing.get_config()}
    return getattr(thing, "__name__", None) or type(thing).__name__


def _fit(params: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    found = {"epochs": params.get("epochs"), "steps": params.get("steps")}
    found["batch_size"] = _batch_size(arguments)
    for name in ("initial_epoch", "validation_split", "validation_freq", "shuffle"):
        if isinstance(arguments.get(name), (bool, int, float, str)):
            found[name] = arguments[name]
    for name in ("sample_weight", "class_weight", "validation_data"):
        if arguments.get(name) is not None:
            found[name] = True
    return {name: value for name, value in found.items() if value is not None}


def _batch_size(arguments: Mapping[str, Any]) -> int | None:
    given = arguments.get("batch_size")
    if given is not None:
        return int(given)
    x = arguments.get("x")
    own = getattr(x, "batch_size", None)  # a torch DataLoader, many a keras.utils.PyDataset
    if isinstance(own, int):
        return own
    leaves = keras.tree.flatten(x)
    arrays = bool(leaves) and all(hasattr(one, "shape") for one in leaves)
    return KERAS_BATCH_SIZE if arrays else None


def _keras() -> dict[str, Any]:
    backend = keras.backend.backend()
    return {
        "version": keras.__version__,
        "backend": backend,
        "backend_version": getattr(sys.modules.get(backend), "__version__", None),
        "floatx": keras.config.floatx(),
        "dtype_policy": keras.config.dtype_policy().name,
    }
