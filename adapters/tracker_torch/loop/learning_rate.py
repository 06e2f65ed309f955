"""The learning rates of optimizers: read and set, one value for each group of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tracker import UsageError
from tracker_torch.state.serialization import named

Rates = dict[str, list[float]]


def all_rates(optimizers: Any) -> Rates:
    """Return the rates by optimizer and parameter group; one alone has the name ``""``.

    Raises:
        UsageError: there is no optimizer.
    """
    rates = {
        name: [float(group["lr"]) for group in optimizer.param_groups]
        for name, optimizer in named(optimizers).items()
    }
    if not rates:
        raise UsageError(
            "there is no optimizer whose learning rate could be read or set: "
            "pass optimizer= to Training or CallbackList."
        )
    return rates


def set_all_rates(optimizers: Any, rates: Mapping[str, Sequence[float]] | None) -> None:
    """Set the rates as `all_rates` returned them, as far as those optimizers and groups are there.

    A rate that lives in a tensor (capturable or compiled optimizers) stays in that tensor.
    """
    for name, optimizer in named(optimizers).items():
        for group, rate in zip(optimizer.param_groups, (rates or {}).get(name, ()), strict=False):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def logged_name(optimizer: str) -> str:
    """Return the name that an optimizer's rate is logged by, Keras' one: ``learning_rate``, or with ``_<name>``."""
    return f"learning_rate_{optimizer}" if optimizer else "learning_rate"
