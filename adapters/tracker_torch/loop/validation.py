"""What a training is made with: taken, or refused with a sentence before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import Any

from torch import nn

from tracker import BadValue, UsageError
from tracker.policies import validation
from tracker_torch.state.serialization import named


def epochs(value: Any) -> int:
    """Return how many epochs there are.

    Raises:
        BadValue: it is not a whole number of 0 or more.
    """
    hint = "Count all epochs of the training, those of a resumed run's earlier attempts included."
    return validation.count(value, "epochs", hint=hint)


def check_trained(model: Any, optimizer: Any) -> None:
    """See that modules and optimizers are what they are called.

    Raises:
        UsageError: one of them is something else.
    """
    for module in named(model).values():
        if not isinstance(module, nn.Module):
            raise UsageError(
                f"{_whose('model', model, module)}: pass a torch.nn.Module, or a mapping or sequence "
                f"of them."
            )
    for candidate in named(optimizer).values():
        if not hasattr(candidate, "param_groups"):
            raise UsageError(
                f"{_whose('optimizer', optimizer, candidate)}: pass a torch.optim.Optimizer, or a "
                f"mapping or sequence of them."
            )


def metrics(call: str, value: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was logged, by names that are text.

    Args:
        call: the method, for errors.
        value: a mapping, or None.
        given: what was logged by keyword.

    Raises:
        BadValue: ``value`` is not a mapping: a number without a name, or an epoch's.
    """
    if value is None:
        return dict(given)
    if isinstance(value, Mapping):
        return {**{str(name): logged for name, logged in value.items()}, **given}
    if call == "log_epoch" and _whole(value) is not None and not hasattr(value, "shape"):
        raise BadValue(
            f"log_epoch takes metrics, not the epoch number {value}, which it knows: "
            f"log_epoch(val_loss=…)."
        )
    name = "val_loss" if call == "log_epoch" else "loss"
    raise BadValue(
        f"{call} was given a {type(value).__name__} without a name: give it one: {call}({name}=…)."
    )


def _whose(what: str, things: Any, wrong: Any) -> str:
    kind = type(wrong).__name__
    verb = "is" if wrong is things else "holds"
    return f"{what} {verb} {'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"


def _whole(value: Any) -> int | None:
    try:
        return None if isinstance(value, bool) else index(value)
    except TypeError:
        return None
