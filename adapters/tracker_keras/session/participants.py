"""Who is going to take part in a training: known before its first hook is called."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from tracker_keras.session.fit_hook import Call, call_of

if TYPE_CHECKING:
    from tracker_keras.session.base import Recorded

_by_hand: weakref.WeakKeyDictionary[Any, list[weakref.ref[Recorded]]] = weakref.WeakKeyDictionary()


def announce(model: Any, callback: Recorded) -> None:
    """Note that a callback is going to take part; Keras hands the model to all of them first."""
    call = call_of(model)
    if call is not None:
        if not any(one is callback for one in call.callbacks):
            call.callbacks.append(callback)
    elif model is not None:
        _by_hand.setdefault(model, []).append(weakref.ref(callback))


def announced(key: Any, call: Call | None) -> list[Recorded]:
    """Return the callbacks that were announced for a `fit`, or for a loop of one's own."""
    if call is not None:
        return list(call.callbacks)
    try:
        refs = _by_hand.pop(key, [])
    except TypeError:
        return []
    found: list[Recorded] = []
    for ref in refs:
        one = ref()
        if one is not None and not any(one is other for other in found):
            found.append(one)
    return found
