"""What is read from a model and its logs, as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def number(value: Any) -> float | None:
    """Return a scalar, or an array or tensor of one element, as a float; None for anything else."""
    if value is None or isinstance(value, (str, bytes)):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def numbers(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """Return the entries of ``logs`` that are one number each; Keras lets callbacks add anything."""
    found = {str(name): number(value) for name, value in (logs or {}).items()}
    return {name: value for name, value in found.items() if value is not None}


def same(a: float | None, b: float | None) -> bool:
    """Say whether two values are equal, NaN being equal to NaN."""
    return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))


def learning_rate(model: Any) -> float | None:
    """Return the optimizer's learning rate now; None where there is none, or more than one."""
    return optimizer_rate(getattr(model, "optimizer", None))


def optimizer_rate(optimizer: Any) -> float | None:
    """Return an optimizer's learning rate now; None where it has none or several optimizers."""
    if optimizer is None or hasattr(optimizer, "optimizers"):
        return None
    try:
        return float(optimizer.learning_rate)
    except (AttributeError, TypeError, ValueError):
        return None


def set_learning_rate(model: Any, rate: float | None) -> None:
    """Set the optimizer's learning rate, unless it is that already or follows a schedule."""
    now = learning_rate(model)
    if rate is None or now is None or now == rate:
        return
    try:
        model.optimizer.learning_rate = rate
    except TypeError:  # a LearningRateSchedule: it goes by the optimizer's step count
        return


def steps_taken(model: Any) -> int | None:
    """Return how many steps the optimizer has taken; None where it does not say."""
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    if iterations is None:
        return None
    try:
        return int(iterations)
    except (TypeError, ValueError):
        return None
