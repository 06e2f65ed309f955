"""What a policy or a training run refuses when it is created, each with the value, what was possible and what to do."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from tracker import values
from tracker.errors import BadValue
from tracker.policies.modes import KERAS, TRACKER

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(I?)B?\s*", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def known_rules(rules: Any, known: Sequence[str]) -> str:
    """Return ``rules`` when they are among those that a policy knows."""
    if rules not in known:
        raise BadValue(
            f"rules is {rules!r}: there are {', '.join(known[:-1])} and {known[-1]}. "
            f"Leave it out for {TRACKER}, or pass {KERAS!r} to decide exactly as Keras does."
        )
    return str(rules)


def metric_name(monitor: Any) -> str:
    """Return ``monitor`` when it is a name."""
    if not isinstance(monitor, str) or not monitor.strip():
        raise BadValue(
            f"monitor is {monitor!r}: it must be the name of a metric, such as 'val_loss'. "
            f"Pass the name under which the metric is logged."
        )
    return monitor


def count(value: Any, name: str, *, least: int | None = 0, hint: str | None = None) -> int:
    """Return ``value`` as an int of at least ``least`` (None: any); ``hint`` says what it counts, if not epochs."""
    hint = hint or f"Count it in epochs, as in {name}={max(least or 0, 3)}."
    return values.whole(value, name, least=least, hint=hint)


def size(given: int | str) -> int:
    """Return a number of bytes: 20000000, "20 MB", "1.5GiB".

    Raises:
        BadValue: for anything else.
    """
    found = _SIZE.fullmatch(str(given))
    if isinstance(given, bool) or found is None:
        raise BadValue(
            f"{given!r} is not a size: write bytes, or a number with KB, MB, GB, TB (or KiB …), such as '20GB'."
        )
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[unit.upper()])


def log_every(value: Any) -> int | None:
    """Return the number of steps per streamed point; None to stream nothing."""
    hint = "Count the steps from one streamed point to the next, or leave it out to stream nothing."
    return None if value is None else count(value, "log_every", least=1, hint=hint)


def real(
    value: Any, name: str, *, least: float = -math.inf, below: float = math.inf, finite: bool = True
) -> float:
    """Return ``value`` as a float, ``least <= value < below``; ``finite=False`` takes any."""
    number = _float(value)
    if number is None or (finite and not (math.isfinite(number) and least <= number < below)):
        raise BadValue(
            f"{name} is {value!r}: it must be a finite number{_range(least, below)}. "
            f"Pass such a number, or leave {name} out."
        )
    return number


def _float(value: Any) -> float | None:
    if isinstance(value, (bool, str, bytes)) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None


def _range(least: float, below: float) -> str:
    low = f" of at least {least:g}" if math.isfinite(least) else ""
    high = f" below {below:g}" if math.isfinite(below) else ""
    return f"{low}{' and' if low and high else ''}{high}"
