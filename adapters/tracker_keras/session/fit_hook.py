"""The running call of ``fit``: its arguments, and how it ends.

Keras tells its callbacks neither the batch size nor that ``fit`` raised, so importing this package
wraps that one method, ``keras.Model.fit``: arguments, result and exception pass through as they are.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

import keras


class Call:
    """One call of ``fit`` that is running.

    Attributes:
        model: what is being trained.
        arguments: the arguments that were given, by name; defaults are not among them.
        callbacks: those of our callbacks that Keras has handed this model to, in its order.
        on_end: called once ``fit`` has returned (None) or raised (the exception).
    """

    def __init__(self, model: Any, arguments: Mapping[str, Any]) -> None:
        self.model = model
        self.arguments = arguments
        self.callbacks: list[Any] = []
        self.on_end: Callable[[BaseException | None], None] | None = None

    @property
    def keras_restores(self) -> bool:
        """Whether Keras' own BackupAndRestore takes part: it alone then knows the first epoch."""
        given = self.arguments.get("callbacks") or []
        listed = getattr(given, "callbacks", given)
        return any(
            isinstance(one, keras.callbacks.BackupAndRestore) and one not in self.callbacks
            for one in keras.tree.flatten(listed)
        )

    def end(self, error: BaseException | None) -> None:
        """Tell whoever listens, once."""
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end(error)


class _Calls(threading.local):
    def __init__(self) -> None:
        self.running: list[Call] = []


_calls = _Calls()
_wrapped: Callable[..., Any] | None = None


def calls() -> list[Call]:
    """Return the calls that are running in this thread, outermost first."""
    return _calls.running


def call_of(model: Any) -> Call | None:
    """Return the innermost running call that trains ``model``; None where it is driven by hand."""
    return next((call for call in reversed(_calls.running) if call.model is model), None)


def unwrap_fit() -> None:
    """Give ``keras.Model.fit`` back as it was; runs then end with the callbacks, or later."""
    if _wrapped is not None and vars(keras.Model).get("fit") is _wrapped:
        del keras.Model.fit


def wrap_fit() -> None:
    """Let `calls` know of every ``keras.Model.fit``; a second time changes nothing."""
    global _wrapped
    original = keras.Model.fit
    if getattr(original, "watched_by_tracker", False):
        return
    signature = inspect.signature(original)

    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call(self, _named(signature, self, args, kwargs))
        _calls.running.append(call)
        try:
            result = original(self, *args, **kwargs)
        except BaseException as error:
            call.end(error)
            raise
        else:
            call.end(None)
            return result
        finally:
            _calls.running.remove(call)

    fit.watched_by_tracker = True  # type: ignore[attr-defined]  # mypy knows no attributes of functions
    keras.Model.fit = _wrapped = fit


def _named(
    signature: inspect.Signature, model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    try:
        return signature.bind_partial(model, *args, **kwargs).arguments
    except TypeError:  # a wrong call: Keras says so
        return {}
