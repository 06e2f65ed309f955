"""LambdaCallback: functions as hooks."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from tracker import UsageError
from tracker_torch.callback import Callback

HOOKS = tuple(sorted(name for name in vars(Callback) if name.startswith("on_")))


class LambdaCallback(Callback):
    """Call the given functions at the hooks they are named after.

        LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))

    Args:
        **hooks: a function for each; it gets that hook's arguments.

    Raises:
        UsageError: there is no such hook, or what was given cannot be called.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **hooks: Callable[..., Any] | None,
    ) -> None:
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **hooks,
        }
        for name, function in given.items():
            if name not in HOOKS:
                close = get_close_matches(name, HOOKS, 1)
                hint = f" Did you mean {close[0]}?" if close else ""
                raise UsageError(f"{name} is not a hook: there are {', '.join(HOOKS)}.{hint}")
            if function is None:
                continue
            if not callable(function):
                raise UsageError(f"{name} is {function!r}: it must be a function.")
            setattr(self, name, function)
