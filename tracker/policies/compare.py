"""How numbers are compared, and how they are shown."""

from __future__ import annotations

import math
import struct

from tracker.policies.modes import KERAS, LIGHTNING

_FEWEST, _MOST = 4, 17
_SINGLE = struct.Struct("f")


def single(value: float) -> float:
    """Round a double to the nearest single-precision number; beyond 3.4e38 that is an infinity."""
    try:
        return float(_SINGLE.unpack(_SINGLE.pack(value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def is_single(value: float) -> bool:
    """Say whether a number is one of single precision."""
    return single(value) == value


def beats(
    value: float, reference: float, *, direction: str, min_delta: float = 0.0, rules: str
) -> bool:
    """Say whether ``value`` is better than ``reference`` by more than ``abs(min_delta)``.

    ``keras-3.15`` shifts in double and compares in single precision, as ``keras.ops.less`` and
    ``greater`` do in Keras 3.15.1 (`MonitorCallback._is_improvement`); ``tracker-1`` compares
    doubles; ``lightning-2.6`` shifts and compares in the value's own precision, as torch does, which is
    single unless the value is a number that only a double can hold. Nothing beats a NaN and a NaN beats nothing.
    """
    lower = direction == "min"
    if rules == LIGHTNING and is_single(value):
        min_delta = single(min_delta)
    shifted = value + abs(min_delta) if lower else value - abs(min_delta)
    if rules == LIGHTNING and is_single(value):
        shifted = single(shifted)
    elif rules == KERAS:
        shifted, reference = single(shifted), single(reference)
    return shifted < reference if lower else shifted > reference


def show(value: float, digits: int = _FEWEST) -> str:
    """Show a measured value: ``0.3490``, ``12346``, ``1.000e-05``, ``NaN``, ``-inf``."""
    if math.isnan(value):
        return "NaN"
    if 10**digits <= abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


def show_apart(one: float, other: float) -> tuple[str, str]:
    """Show two values with four digits, or with as many as it takes to tell them apart."""
    if one == other:
        # 0.0 and -0.0 are one value.
        return show(one), show(one)
    for digits in range(_FEWEST, _MOST + 1):
        shown = show(one, digits), show(other, digits)
        if shown[0] != shown[1]:
            break
    return shown


def show_setting(value: float) -> str:
    """Show a number that a user has typed, as short as it can be: ``0.001``, ``1e-06``, ``3``."""
    short = f"{value:g}"
    return short if float(short) == value or math.isnan(value) else repr(float(value))


def show_rate(value: float) -> str:
    """Show a learning rate with at most four digits: ``0.001``, ``3.162e-05``."""
    return f"{value:.4g}"
