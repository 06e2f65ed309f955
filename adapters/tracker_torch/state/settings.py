"""The settings that a script gives its optimizers, schedulers and scaler, and what a backup made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracker_torch.state import scheduler_state
from tracker_torch.state.capture import group_settings
from tracker_torch.state.serialization import named

Settings = dict[str, Any]
_SCALER = ("growth_factor", "backoff_factor", "growth_interval")


def of_script(loop: Any) -> Settings:
    """Return what the script says, as plain data: called before anything is restored."""
    return {
        "optimizer": {
            name: [_of_group(group) for group in optimizer.param_groups]
            for name, optimizer in named(loop.optimizer).items()
        },
        "scheduler": {
            name: _of_scheduler(scheduler) for name, scheduler in named(loop.scheduler).items()
        },
        "scaler": {name: _of_scaler(scaler) for name, scaler in named(loop.scaler).items()},
    }


def differences(script: Settings, origin: Mapping[str, Any] | None, loop: Any) -> list[str]:
    """Return each setting of the script that is not what is trained with, such as ``lr: 0.1 instead of 0.01``.

    Args:
        script: what `of_script` returned before the restore.
        origin: what it returned where the training that came back began: rates and momenta move
            with schedules, so that what they are now says nothing. None: not known.
        loop: the training that came back.
    """
    now = of_script(loop)
    begun = (origin or {}).get("optimizer", {})
    found: dict[str, None] = {}
    for name, groups in script.get("optimizer", {}).items():
        restored = now["optimizer"].get(name, [])
        first = begun.get(name, [dict.fromkeys(group) for group in groups])
        for says, began, has in zip(groups, first, restored, strict=False):
            for key, value in says.items():
                before = has.get(key) if began.get(key) is None else began[key]
                moves = origin is None and key in ("lr", "momentum", "betas")
                if not moves and key in has and not _equal(value, before):
                    found[_difference(_label("optimizer", name, key), before, value)] = None
    for part in ("scheduler", "scaler"):
        for name, says in script.get(part, {}).items():
            has = now[part].get(name, {})
            for key, value in says.items():
                if key in has and not _equal(value, has[key]):
                    found[_difference(_label(part, name, key), has[key], value)] = None
    return list(found)


def overlay(described: Any, begun: Mapping[str, Any]) -> None:
    """Put the settings that a training began with into what `capture.describe` says of its optimizers."""
    for name, groups in begun.items():
        entry = (described or {}).get(name) if name else described
        for group, settings in zip((entry or {}).get("groups", ()), groups, strict=False):
            group.update({key: settings[key] for key in settings if key in group})


def _of_group(group: Mapping[str, Any]) -> dict[str, Any]:
    settings = group_settings(group)
    # A scheduler that warms up has lowered the rate already.
    begun = settings.pop("initial_lr", None)
    return settings if begun is None else {**settings, "lr": begun}


def _of_scheduler(scheduler: Any) -> dict[str, Any]:
    try:
        return scheduler_state.all_settings(scheduler.state_dict())
    except Exception:
        # Somebody's own, which cannot be looked into: nothing is compared.
        return {}


def _of_scaler(scaler: Any) -> dict[str, Any]:
    state = scaler.state_dict()
    return {name: state[name] for name in _SCALER if name in state}


def _label(part: str, name: str, key: str) -> str:
    return f"{part} {name}'s {key}" if name else f"{part}'s {key}"


def _difference(label: str, trained: Any, says: Any) -> str:
    return f"{label} {trained!r} (the script says {says!r})"


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return len(first) == len(second) and all(map(_equal, first, second))
    return bool(first == second)
