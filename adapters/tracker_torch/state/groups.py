"""Groups of parameters that were added, and parameters that were unfrozen, while a training ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tracker_torch.state.serialization import named, unwrap

Groups = dict[str, list[list[str]]]


def of_optimizers(model: Any, optimizer: Any) -> Groups:
    """Return the names of the parameters in each group, by optimizer; empty for those of no model."""
    names = {id(parameter): name for name, parameter in _parameters(model).items()}
    return {
        name: [[names.get(id(parameter), "") for parameter in group["params"]] for group in one.param_groups]
        for name, one in named(optimizer).items()
    }  # fmt: skip


def rebuild(model: Any, optimizer: Any, saved: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """Add the groups that an optimizer had when it was saved, and has not yet: a later epoch had added them."""
    parameters = _parameters(model)
    for name, one in named(optimizer).items():
        held = {id(parameter) for group in one.param_groups for parameter in group["params"]}
        for group in saved.get(name, ())[len(one.param_groups) :]:
            found = [parameters.get(parameter) for parameter in group]
            if any(parameter is None or id(parameter) in held for parameter in found):
                return
            # Its settings come with the state.
            one.add_param_group({"params": found})


def frozen(model: Any) -> list[str]:
    """Return the names of the parameters that are not trained."""
    return [name for name, one in _parameters(model).items() if not one.requires_grad]


def freeze(model: Any, names: Sequence[str]) -> None:
    """Train all parameters but these."""
    for name, parameter in _parameters(model).items():
        if parameter.requires_grad != (name not in names):
            parameter.requires_grad_(name not in names)


def _parameters(model: Any) -> dict[str, torch.nn.Parameter]:
    return {
        f"{name}/{key}": parameter
        for name, module in named(model).items()
        for key, parameter in unwrap(module).named_parameters()
    }
