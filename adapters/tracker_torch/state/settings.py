"""The settings that a script gives its optimizers, schedulers and scaler, and what a backup made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from weakref import proxy

from tracker_torch.state import scheduler_state
from tracker_torch.state.capture import group_settings
from tracker_torch.state.serialization import named

Settings = dict[str, Any]
_SCALER = ("growth_factor", "backoff_factor", "growth_interval")


class Trained(Protocol):
    """What has settings: each one thing, a mapping or a sequence."""

    optimizer: Any
    scheduler: Any
    scaler: Any


class ScriptSettings:
    """What the script said of optimizers, schedulers and scaler, beside what came back.

    Attributes:
        begun: the settings that the training began with: the script's, or, where a training came back,
            those of the script that began it.
    """

    def __init__(self, loop: Trained) -> None:
        self._loop = proxy(loop)  # a loop that nobody holds is to be dropped at once
        self._said: Settings | None = None
        self._came_back: tuple[frozenset[str], Mapping[str, Any] | None] | None = None
        self.begun: Settings = {}

    def note(self) -> None:
        """Note what the script says; once, before anything is restored."""
        if self._said is None:
            self._said = self.begun = _of_script(self._loop)

    def took_back(self, parts: Iterable[str], begun: Mapping[str, Any] | None) -> None:
        """Note that these parts came back, with the settings that their training began with; None: not known."""
        self._came_back = frozenset(parts), begun
        if begun is not None and "optimizer" in self._came_back[0]:
            self.begun = dict(begun)

    def changed(self) -> list[str]:
        """Return each setting of the script that came back otherwise: ``lr 0.01 (the script says 0.1)``; once."""
        said, self._said = self._said, None
        came_back, self._came_back = self._came_back, None
        if came_back is None or said is None:
            return []
        parts, begun = came_back
        return _differences({name: said[name] for name in parts & set(said)}, begun, self._loop)

    def overlay(self, described: Any) -> None:
        """Put the settings that the training began with into what `capture.describe` says of its optimizers."""
        for name, groups in self.begun["optimizer"].items():
            entry = (described or {}).get(name) if name else described
            for group, settings in zip((entry or {}).get("groups", ()), groups, strict=False):
                group.update({key: settings[key] for key in settings if key in group})


def _of_script(loop: Trained) -> Settings:
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


def _differences(script: Settings, origin: Mapping[str, Any] | None, loop: Trained) -> list[str]:
    """Return each setting of the script that is not what is trained with, such as ``lr: 0.1 instead of 0.01``.

    Args:
        script: what `_of_script` returned before the restore.
        origin: what it returned where the training that came back began: rates and momenta move
            with schedules, so that what they are now says nothing. None: not known.
        loop: the training that came back.
    """
    now = _of_script(loop)
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
