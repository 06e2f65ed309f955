"""What of a learning rate scheduler moves while it trains; the rest are settings, and those may change."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

_COUNTERS = (
    "best", "cooldown_counter", "last_epoch", "mode_worse", "num_bad_epochs", "T_cur", "T_i",
)  # fmt: skip
_SCALARS = (bool, int, float, str, type(None))


def snapshot(value: Any) -> Any:
    """Copy the containers and tensors of a ``state_dict()``; other objects stay what they are."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        # MultiStepLR's Counter stays one.
        copied = copy.copy(value)
        for key, item in value.items():
            copied[key] = snapshot(item)
        return copied
    if type(value) in (list, tuple):
        return type(value)(snapshot(item) for item in value)
    return value


def settings(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments in a scheduler's ``state_dict()`` that are numbers and text."""
    return {
        name: value
        for name, value in state.items()
        if isinstance(value, _SCALARS) and not name.startswith("_") and name not in _COUNTERS
    }


def all_settings(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of nested schedulers as well: ``0.gamma``, ``1.T_max``."""
    found = settings(state)
    inner = state.get("_schedulers")
    if isinstance(inner, (list, tuple)):
        for number, nested in enumerate(inner):
            if isinstance(nested, Mapping):
                found |= {f"{number}.{name}": item for name, item in all_settings(nested).items()}
    return found


def moved(before: Any, now: Any) -> Any:
    """Return what of the state ``now`` is not as ``before``, nested states of schedulers included."""
    if isinstance(before, dict) and isinstance(now, dict):
        return {
            key: moved(before.get(key), item)
            for key, item in now.items()
            if key not in before or not _same(before[key], item)
        }
    if _nested(before) and _nested(now) and len(before) == len(now):
        return [moved(old, new) for old, new in zip(before, now, strict=True)]
    return snapshot(now)


def merged(before: Any, change: Any) -> Any:
    """Return a copy of the state ``before`` with a ``change`` that `moved` returned."""
    if isinstance(before, dict) and isinstance(change, Mapping):
        result = snapshot(before)
        for key, item in change.items():
            result[key] = merged(before.get(key), item)
        return result
    if before and _nested(before) and _nested(change):
        # Other schedulers than before begin anew.
        if len(before) != len(change):
            return snapshot(before)
        return [merged(old, new) for old, new in zip(before, change, strict=True)]
    return snapshot(change)


def recordable(value: Any) -> Any:
    """Return ``value`` as data that a database keeps.

    Raises:
        TypeError: something in it is neither a number, text, a tensor nor a container of them.
    """
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: recordable(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [recordable(item) for item in value]
    raise TypeError(f"a {type(value).__name__} is not plain data")


def _nested(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, Mapping) for item in value)


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor) or isinstance(second, torch.Tensor):
        both = isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)
        return both and torch.equal(first, second)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            _same(first[key], second[key]) for key in first
        )
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return len(first) == len(second) and all(map(_same, first, second))
    return first is second or (
        isinstance(first, _SCALARS) and isinstance(second, _SCALARS) and first == second
    )
