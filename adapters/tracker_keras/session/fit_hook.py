"""Which trainings run: calls of ``fit``, and loops that call the callbacks by hand.

Keras tells its callbacks neither the arguments of ``fit`` nor that it raised, and none of them knows who
else takes part. Importing this package therefore wraps two methods, ``keras.Model.fit`` and
``keras.callbacks.CallbackList.on_train_begin``: arguments, result and exception pass through as they are.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import ReferenceType

import keras
from keras.callbacks import CallbackList

import tracker


@dataclass(eq=False)
class Fit:
    """A training: a call of ``fit``, or a loop that calls the hooks of callbacks by hand.

    Attributes:
        model: what is being trained.
        arguments: those that ``fit`` was given, by name, without defaults; None in a loop by hand.
        callbacks: all of Keras' list, from the moment at which they begin.
        start: what the run is started with, where one of our callbacks says so beforehand.
        session: the `Session` that records it; None before the first of our callbacks begins.
    """

    model: Any
    arguments: Mapping[str, Any] | None = None
    callbacks: list[Any] | None = None
    start: dict[str, Any] | None = None
    session: Any = None

    def is_about_to_begin(self, callbacks: CallbackList) -> bool:
        """Whether these callbacks are those of this ``fit``, which has not begun yet."""
        handed = (self.arguments or {}).get("callbacks") is callbacks
        return self.callbacks is None and (handed or callbacks._model is self.model)


_fits: ContextVar[tuple[Fit, ...]] = ContextVar("tracker_keras_fits", default=())
"""The calls of ``fit`` that run in this context (thread or task), outermost first."""
_beginning: ContextVar[Fit | None] = ContextVar("tracker_keras_beginning", default=None)
"""The training whose callbacks are beginning, while they do."""
_gathering: ContextVar[ReferenceType[Fit] | None] = ContextVar(
    "tracker_keras_gathering", default=None
)
"""The loop by hand whose callbacks were given their model last."""


def beginning_training() -> Fit | None:
    """Return the training whose callbacks are beginning; None at any other time."""
    return _beginning.get()


def running_fit(model: Any) -> Fit | None:
    """Return the innermost ``fit`` of this model that runs; None in a loop by hand."""
    return next((fit for fit in reversed(_fits.get()) if fit.model is model), None)


def gathering_loop(model: Any) -> Fit:
    """Return the loop by hand of those that are given this model now, one after the other."""
    ref = _gathering.get()
    fit = None if ref is None else ref()
    if fit is None or fit.model is not model or fit.session is not None:
        fit = Fit(model)
        _gathering.set(ReferenceType(fit))
    return fit


@contextmanager
def beginning(fit: Fit) -> Iterator[None]:
    """Have the callbacks that begin meanwhile take part in ``fit``."""
    token = _beginning.set(fit)
    try:
        yield
    finally:
        _beginning.reset(token)


class FitHook:
    """The two wrappers, and when they are in place."""

    def __init__(self) -> None:
        self._wrappers = (
            (keras.Model, "fit", _watched_fit),
            (CallbackList, "on_train_begin", _watched_begin),
        )
        self._watched: list[Any] = []

    def wrap(self) -> None:
        """Watch Keras' methods; a second time changes nothing."""
        for owner, name, watch in self._wrappers:
            original = getattr(owner, name)
            # Another library's wrapper around ours has the attribute as well.
            if not hasattr(original, "watched_by_tracker"):
                watched: Any = watch(original)
                watched.watched_by_tracker = True
                setattr(owner, name, watched)
                self._watched.append(watched)

    def unwrap(self) -> None:
        """Give Keras its methods back; runs then end with the callbacks, or later."""
        for owner, name, _ in self._wrappers:
            watched = getattr(owner, name)
            if watched in self._watched:
                setattr(owner, name, watched.__wrapped__)


def _watched_fit(original: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        running = Fit(self, _by_name(signature, self, args, kwargs))
        token = _fits.set((*_fits.get(), running))
        try:
            result = original(self, *args, **kwargs)
        except BaseException as error:
            if running.callbacks is None:
                _record_unbegun(running, error)
            _end(running, error)
            raise
        else:
            _end(running, None)
            return result
        finally:
            _fits.reset(token)

    return fit


def _watched_begin(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def on_train_begin(self: Any, *args: Any, **kwargs: Any) -> Any:
        enclosing = _beginning.get()
        if enclosing is not None and any(one is self for one in enclosing.callbacks or ()):
            return original(self, *args, **kwargs)  # a list within a list
        training = _training_with(self)
        with beginning(training):
            # Before any callback may train something else.
            if (recorded := _first_recorded(training)) is not None:
                recorded.tracker_open(training)
            result = original(self, *args, **kwargs)
            if training.session is not None:
                training.session.begin(training.callbacks or ())
        return result

    return on_train_begin


def _training_with(callbacks: CallbackList) -> Fit:
    """Return the training that begins with these callbacks: the innermost ``fit``, or a loop by hand."""
    fit = next(reversed(_fits.get()), None)
    if fit is None or not fit.is_about_to_begin(callbacks):
        fit = Fit(callbacks._model)
    fit.callbacks = list(_members(callbacks))
    return fit


def _members(callbacks: Any) -> Iterator[Any]:
    for one in keras.tree.flatten(getattr(callbacks, "callbacks", callbacks)):
        yield one
        if isinstance(one, CallbackList):
            yield from _members(one)


def _first_recorded(fit: Fit) -> Any:
    """Return the first of our callbacks in a training; None without any."""
    return next((one for one in fit.callbacks or () if hasattr(one, "tracker_open")), None)


def _record_unbegun(fit: Fit, error: BaseException) -> None:
    """Record that ``fit`` raised before its callbacks began: data or a model that Keras does not take."""
    given = (fit.arguments or {}).get("callbacks")
    fit.callbacks = list(_members(given))
    if (recorded := _first_recorded(fit)) is not None:
        with suppress(tracker.TrackerError):  # what `fit` raised is what matters
            recorded.tracker_unbegun(fit, error)


def _end(fit: Fit, error: BaseException | None) -> None:
    session, fit.session = fit.session, None
    if session is not None:
        session.end(error)


def _by_name(
    signature: inspect.Signature, model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    try:
        return signature.bind_partial(model, *args, **kwargs).arguments
    except TypeError:  # a wrong call: Keras says so
        return {}


fit_hook = FitHook()
