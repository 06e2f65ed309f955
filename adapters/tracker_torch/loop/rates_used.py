"""The learning rates that an epoch was trained with, whoever changes them and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary, WeakMethod, finalize

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tracker_torch.loop.learning_rate import logged_name
from tracker_torch.state.serialization import named

_Rates = list[Any]
"""One for each parameter group; some are tensors."""


class RatesUsed:
    """Notes the rates of every optimizer step: the first and the last of an epoch.

    A rate that is read when the epoch ends may be the next epoch's: many loops step their scheduler
    before they log. In an epoch without an optimizer step the rates are those that it began with.
    An optimizer that takes the place of a watched one, as it steps parameters of that, counts as it.

    Attributes:
        updates: how many steps the optimizers have made while they were watched.
        on_step: called with an optimizer's name at each of its steps.
        successors: which optimizers have taken the place of a watched one, with its name.
    """

    def __init__(self) -> None:
        self.updates = 0
        self.on_step: Callable[[str], None] | None = None
        self._optimizers: dict[str, Any] = {}
        self._at_begin: dict[str, _Rates] = {}
        self._first: dict[str, _Rates] = {}
        self._last: dict[str, _Rates] = {}
        self._hooks: list[Any] = []
        self._resumed: dict[str, dict[str, list[float]]] = {}
        self.successors: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._watched: dict[int, str] = {}
        self._strangers: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()

    def as_dict(self) -> dict[str, dict[str, list[float]]]:
        """Return the rates of the epoch's first and last step so far, for `load`."""
        return {
            when: {name: [float(rate) for rate in rates] for name, rates in noted.items()}
            for when, noted in (("first", self._first), ("last", self._last))
        }

    def load(self, saved: Mapping[str, Mapping[str, list[float]]]) -> None:
        """Let the next epoch continue with what `as_dict` returned: it was resumed in its middle."""
        self._resumed = {when: dict(noted) for when, noted in saved.items()}

    def watch(self, optimizers: Any) -> None:
        """Note every step of these optimizers from now on, until `release`."""
        self.release()
        self._optimizers = dict(named(optimizers))
        for name, optimizer in self._optimizers.items():
            if hasattr(optimizer, "register_step_pre_hook"):
                self._hooks.append(optimizer.register_step_pre_hook(self._note_of(name)))
                self._watched[id(optimizer)] = name
        if self._watched:
            handle = register_optimizer_step_pre_hook(_noticing(WeakMethod(self._notice)))
            self._hooks.append(handle)
            # A loop may be dropped without having ended.
            finalize(self, handle.remove).atexit = False
        self._note_begin()

    def release(self) -> None:
        """Watch no longer."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._watched.clear()
        self._strangers.clear()

    def begin(self) -> None:
        """Begin an epoch."""
        self._note_begin()
        resumed, self._resumed = self._resumed, {}
        self._first, self._last = resumed.get("first", {}), resumed.get("last", {})

    def _note_begin(self) -> None:
        self._first, self._last = {}, {}
        self._at_begin = {
            name: [_copied(group["lr"]) for group in optimizer.param_groups]
            for name, optimizer in self._optimizers.items()
        }

    def first(self) -> dict[str, list[float]]:
        """Return the rates of the epoch's first step, by optimizer and group; one alone has the name ``""``."""
        return self._read(self._first)

    def last(self) -> dict[str, list[float]]:
        """Return those of its last step."""
        return self._read(self._last)

    def by_group(self) -> dict[str, tuple[float, float]]:
        """Return the first and the last rate of each group, by its name or number."""
        first, last = self.first(), self.last()
        found = {}
        for name, optimizer in self._optimizers.items():
            groups = zip(optimizer.param_groups, first[name], last[name], strict=False)
            for number, (group, begin, end) in enumerate(groups):
                label = str(group.get("name", number))
                found[f"{name}.{label}" if name else label] = begin, end
        return found

    def logged(self) -> dict[str, float]:
        """Return each optimizer's first group's, by the name it is logged by."""
        return {logged_name(name): rates[0] for name, rates in self.last().items() if rates}

    def _read(self, noted: Mapping[str, _Rates]) -> dict[str, list[float]]:
        return {
            name: [float(rate) for rate in noted.get(name, self._at_begin.get(name, ()))]
            for name in self._optimizers
        }

    def _note_of(self, name: str) -> Any:
        def note(optimizer: Any, args: Any, kwargs: Any) -> None:
            # A compiled step would be compiled again for every new rate.
            if not torch.compiler.is_compiling():
                self._note(name, optimizer)

        return note

    def _note(self, name: str, optimizer: Any) -> None:
        self.updates += 1
        if self.on_step is not None:
            self.on_step(name)
        rates = self._last[name] = [_copied(group["lr"]) for group in optimizer.param_groups]
        if name not in self._first:
            self._first[name] = rates

    def _notice(self, optimizer: Any) -> None:
        """Before a step of any optimizer: note it where it has taken the place of a watched one."""
        if id(optimizer) in self._watched or optimizer in self._strangers:
            return
        name = self.successors.get(optimizer)
        if name is None:
            name = self._place_of(optimizer)
            if name is None:
                self._strangers[optimizer] = True
                return
            self.successors[optimizer] = name
        self._note(name, optimizer)

    def _place_of(self, optimizer: Any) -> str | None:
        """Return the name of the watched optimizer of which another one steps parameters."""
        stepped = _parameters(optimizer)
        overlaps = (
            name for name, watched in self._optimizers.items() if stepped & _parameters(watched)
        )
        return next(overlaps, None)


def _noticing(notice: WeakMethod[Callable[[Any], None]]) -> Callable[[Any, Any, Any], None]:
    def note(optimizer: Any, args: Any, kwargs: Any) -> None:
        if not torch.compiler.is_compiling() and (call := notice()) is not None:
            call(optimizer)

    return note


def _parameters(optimizer: Any) -> set[int]:
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}


def _copied(rate: Any) -> Any:
    """Return a rate that stays what it is: one in a tensor is changed in place."""
    if rate.__class__ is float or not isinstance(rate, torch.Tensor):
        return rate
    return rate.detach().clone()
