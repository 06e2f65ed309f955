"""What a training is made with: taken, or refused with a sentence before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import index
from typing import Any

from torch import nn

from tracker import BadValue, UsageError
from tracker.policies import validation
from tracker_torch.callback import Callback
from tracker_torch.state.serialization import named


def epochs(value: Any) -> int:
    """Return how many epochs there are.

    Raises:
        BadValue: it is no whole number of 0 or more.
    """
    hint = "Count all epochs of the training, those of a resumed run's earlier attempts included."
    return validation.count(value, "epochs", hint=hint)


def callbacks(value: Iterable[Callback] | Callback | None) -> list[Callback]:
    """Return the callbacks; one alone is a list of one, None of none.

    Raises:
        UsageError: one of them is no callback of ours, with what to write instead.
    """
    given: Iterable[Any]
    if value is None:
        given = ()
    elif isinstance(value, Iterable):
        given = value
    else:
        given = (value,)
    return [callback(one) for one in given]


def callback(value: Any) -> Callback:
    """Return ``value``.

    Raises:
        UsageError: it is no callback of ours.
    """
    if isinstance(value, Callback):
        return value
    kind = value if isinstance(value, type) else type(value)
    made = (
        "it is the class: write it with its arguments in brackets"
        if isinstance(value, type)
        else (
            "it is no tracker_torch.Callback: import the one of the same name from tracker_torch, "
            "or derive yours from tracker_torch.Callback"
        )
    )
    raise UsageError(
        f"{kind.__module__}.{kind.__qualname__} cannot be called by a torch loop: {made}."
    )


def check_trained(model: Any, optimizer: Any) -> None:
    """See that modules and optimizers are what they are called.

    Raises:
        UsageError: one of them is something else.
    """
    for one in named(model).values():
        if not isinstance(one, nn.Module):
            raise UsageError(
                f"{_whose('model', model, one)}: pass a torch.nn.Module, or a mapping or sequence "
                f"of them."
            )
    for one in named(optimizer).values():
        if not hasattr(one, "param_groups"):
            raise UsageError(
                f"{_whose('optimizer', optimizer, one)}: pass a torch.optim.Optimizer, or a "
                f"mapping or sequence of them."
            )


def metrics(call: str, value: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was logged, by names that are text.

    Args:
        call: the method, for errors.
        value: a mapping, or None.
        given: what was logged by keyword.

    Raises:
        BadValue: ``value`` is no mapping: a number without a name, or an epoch's.
    """
    if value is None:
        return dict(given)
    if isinstance(value, Mapping):
        return {**{str(name): one for name, one in value.items()}, **given}
    if call == "log_epoch" and _whole(value) is not None and not hasattr(value, "shape"):
        raise BadValue(
            f"log_epoch takes metrics, not the epoch number {value}, which it knows: "
            f"log_epoch(val_loss=…)."
        )
    name = "val_loss" if call == "log_epoch" else "loss"
    raise BadValue(
        f"{call} was given a {type(value).__name__} without a name: give it one: {call}({name}=…)."
    )


def _whose(what: str, things: Any, one: Any) -> str:
    kind = type(one).__name__
    if one is things:
        return f"{what} is {'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"
    return f"{what} holds {'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"


def _whole(value: Any) -> int | None:
    try:
        return None if isinstance(value, bool) else index(value)
    except TypeError:
        return None
