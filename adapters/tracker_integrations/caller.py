"""Who calls a callback: some neighbours tell it neither that nor which others are called along with it."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_DEPTH = 20
"""How many frames are looked at: a few of the neighbour's own, and decorators of users in between."""


def caller(kind: type[T]) -> T | None:
    """Return the nearest object of a class one of whose methods is running; None where there is none.

    It is for what the neighbour's interface leaves out. Who asks has to do without the answer.
    """
    return next((owner for owner in _owners() if isinstance(owner, kind)), None)


def local(function: str, name: str) -> Any:
    """Return a local variable of the nearest running function of that name; None where there is none."""
    for frame in _frames():
        if frame.f_code.co_name == function and name in frame.f_locals:
            return frame.f_locals[name]
    return None


def _owners() -> list[Any]:
    return [frame.f_locals.get("self") for frame in _frames() if "self" in frame.f_code.co_varnames]


def _frames() -> list[FrameType]:
    frame: FrameType | None = sys._getframe(2)
    frames: list[FrameType] = []
    while frame is not None and len(frames) < _DEPTH:
        frames.append(frame)
        frame = frame.f_back
    return frames
