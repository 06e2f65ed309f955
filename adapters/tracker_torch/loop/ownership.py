"""Whose run it is: one training has one run, and a run one training at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ReferenceType, WeakKeyDictionary, ref

from tracker import Run, UsageError
from tracker_torch.state.serialization import named

if TYPE_CHECKING:
    from tracker_torch.callback import Callback
    from tracker_torch.loop.loop import Loop

_taken: WeakKeyDictionary[Run, ReferenceType[Loop]] = WeakKeyDictionary()


def take(run: Run, loop: Loop) -> None:
    """Note that a training records into ``run``.

    Raises:
        UsageError: another one of this process does, or did.
    """
    if run in _taken and _taken[run]() is not loop:
        raise UsageError(
            f"run {run.name} already belongs to another Training or CallbackList: two would mix "
            f"their epochs. Close the first (leave its `with`, or call close()), and start a run for "
            f"each: with tracker.start_run(...): Training(...)."
        )
    _taken[run] = ref(loop)


def let_go(run: Run, loop: Loop) -> None:
    """Leave ``run`` to another training, where this one recorded no epoch of it."""
    if not loop.recorded and run in _taken and _taken[run]() is loop:
        del _taken[run]


def check(callback: Callback, loop: Loop) -> None:
    """See that ``callback`` can work for ``loop``.

    Raises:
        UsageError: it still works for another training, or what it saves is not there.
    """
    name, present = type(callback).__name__, callback.present_loop
    if present is not None and present is not loop and present.live:
        raise UsageError(
            f"this {name} still belongs to the training of run {present.run.name}, and would record "
            f"into two: make one for each, or end that training first (leave its `with`, or call "
            f"close(), with a CallbackList on_train_end())."
        )
    if callback.needs_model and not named(loop.model):
        raise UsageError(
            f"{name} keeps the model's weights, but there is no model: "
            f"CallbackList([…], model=model, optimizer=optimizer)."
        )
