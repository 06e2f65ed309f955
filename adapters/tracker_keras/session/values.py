"""What is read from a model and its logs, as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy

import tracker


def number(value: Any) -> float | None:
    """Return a scalar, or an array or tensor of one element, as a float; None for anything else."""
    try:
        return None if value is None else tracker.numbers({"value": _held(value)})["value"]
    except tracker.BadValue:
        return None


def numbers(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """Return the entries of ``logs`` that are one number each; Keras lets callbacks add anything."""
    return tracker.numbers(
        {str(name): _held(value) for name, value in (logs or {}).items() if is_number(value)}
    )


def is_number(value: Any) -> bool:
    """Say whether a value is one number: a scalar, or an array or tensor of one element."""
    try:
        tracker.ready_number(_held(value), "value")
    except tracker.BadValue:
        return False
    return True


def no_numbers(logs: Mapping[str, Any] | None) -> list[str]:
    """Return the names of the entries that are something else than one number, and not None."""
    return [
        str(name)
        for name, value in (logs or {}).items()
        if value is not None and not is_number(value)
    ]


def types(logs: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the types of the numbers that are not plain floats, as far as text shows the difference."""
    found = {str(name): _type(value) for name, value in (logs or {}).items()}
    return {name: kind for name, kind in found.items() if kind is not None}


def _type(value: Any) -> str | None:
    value = scalar(value)
    if isinstance(value, numpy.ndarray) and value.shape == ():
        value = value[()]
    if isinstance(value, (bool, numpy.bool_)):
        return "bool"
    if isinstance(value, (int, numpy.integer)):
        return "int"
    if isinstance(value, (numpy.float32, numpy.float16)):
        return value.dtype.name
    return None


def scalar(value: Any) -> Any:
    """Return what a tensor without dimensions holds, as NumPy's number; anything else as it is."""
    value = _held(value)
    if not keras.ops.is_tensor(value) or len(value.shape) != 0:
        return value
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        # Not Keras' own conversion, which has NumPy warn of what torch does.
        return numpy.asarray(value)[()]
    except TypeError:  # torch's bfloat16, which NumPy lacks
        return value.item()


def same(a: float | None, b: float | None) -> bool:
    """Say whether two values are equal, NaN being equal to NaN."""
    return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))


def learning_rate(model: Any) -> float | None:
    """Return the optimizer's learning rate now; None where there is none, or more than one."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or hasattr(optimizer, "optimizers"):
        return None
    return number(_held(getattr(optimizer, "learning_rate", None)))


def rate_of_last_step(model: Any) -> float | None:
    """Return the rate of the optimizer's last step where it follows a schedule; None where callbacks set it."""
    optimizer = getattr(model, "optimizer", None)
    schedule = getattr(optimizer, "_learning_rate", None)
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return None
    batches = number(_held(getattr(optimizer, "_iterations", None)))
    accumulated = int(getattr(optimizer, "gradient_accumulation_steps", None) or 1)
    if batches is None or batches < accumulated:
        return None
    return number(_held(schedule(int(batches) // accumulated * accumulated - 1)))


def has_own_step(model: Any) -> bool:
    """Say whether a model's class says itself how it is trained, maybe by optimizers of its own."""
    return getattr(type(model), "train_step", None) is not keras.Model.train_step


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
    iterations = number(_held(getattr(getattr(model, "optimizer", None), "iterations", None)))
    return None if iterations is None else int(iterations)


def _held(variable: Any) -> Any:
    """Return what a Keras variable holds; anything else as it is."""
    return variable.value if isinstance(variable, keras.Variable) else variable
