"""LambdaCallback: Keras' own, what its functions set recorded."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import keras

from tracker.policies import reasons
from tracker_keras.session.base import Recorded
from tracker_keras.session.values import learning_rate

Hook = Callable[..., Any] | None
OURS = ("on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end")
HOOKS = tuple(name for name in dir(keras.callbacks.Callback) if name.startswith("on_"))


class LambdaCallback(Recorded, keras.callbacks.LambdaCallback):
    """Call functions of yours; a learning rate or a stop that they set is recorded as theirs.

    Arguments are those of ``keras.callbacks.LambdaCallback``. A keyword that starts with ``on_``
    but is not a hook causes a warning; Keras ignores it silently.
    """

    tracker_kind = "LambdaCallback"

    def __init__(
        self,
        on_epoch_begin: Hook = None,
        on_epoch_end: Hook = None,
        on_train_begin: Hook = None,
        on_train_end: Hook = None,
        on_train_batch_begin: Hook = None,
        on_train_batch_end: Hook = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            on_epoch_begin=on_epoch_begin,
            on_epoch_end=on_epoch_end,
            on_train_begin=on_train_begin,
            on_train_end=on_train_end,
            on_train_batch_begin=on_train_batch_begin,
            on_train_batch_end=on_train_batch_end,
            **kwargs,
        )
        for name in kwargs:
            if name.startswith("on_") and name not in HOOKS:
                close = get_close_matches(name, HOOKS, n=1)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(HOOKS)}."
                warnings.warn(
                    f"LambdaCallback({name}=...) is never called: Keras has no such hook; {hint}",
                    stacklevel=2,
                )
        for name in OURS:
            if name in self.__dict__:
                self.__dict__[name] = functools.partial(
                    self._tracker_both, name, self.__dict__[name]
                )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of another one, whose hooks are its own."""
        self.__dict__.update(state)
        for name in OURS:
            hook = self.__dict__.get(name)
            if isinstance(hook, functools.partial):
                self.__dict__[name] = functools.partial(self._tracker_both, *hook.args)

    def _tracker_both(
        self, hook: str, given: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        if hook == "on_train_end":
            given(*args, **kwargs)
            super().on_train_end(*args, *kwargs.values())
            return
        getattr(super(), hook)(*args, *kwargs.values())
        before, stopped = learning_rate(self.model), self._tracker_stops()
        given(*args, **kwargs)
        session = self._tracker_session
        if session is None or session.epochs.current is None:
            return
        after = learning_rate(self.model)
        if before is not None and after is not None and before != after:
            self._tracker_write_rate(hook, session.epochs.current, before, after)
        if self._tracker_stops() and not stopped:
            reason = reasons.stop_was_set("a LambdaCallback", session.epochs.current)
            session.note_stop(reason)
            self.tracker_decided("stopped", epoch=session.epochs.current, reason=reason, state={})

    def _tracker_write_rate(self, hook: str, epoch: int, before: float, after: float) -> None:
        since = epoch if hook == "on_epoch_begin" else epoch + 1
        self.tracker_decided(
            "scheduled",
            epoch=epoch,
            reason=reasons.scheduled(since, before, after),
            lr_before=before,
            lr_after=after,
            state={"lr": after},
        )

    def _tracker_stops(self) -> bool:
        return bool(getattr(self.model, "stop_training", False))
