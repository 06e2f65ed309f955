"""Gradients that wait for a step of the optimizer: no ``state_dict()`` holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from tracker_torch.loop import distributed
from tracker_torch.state.serialization import named, unwrap

Gradients = dict[str, dict[str, torch.Tensor]]


def of_ranks(model: Any) -> list[Gradients]:
    """Return the gradients of every rank, by model and parameter; one entry where all have the same.

    Ranks differ where they accumulate each for itself, as in ``DistributedDataParallel.no_sync()``.
    """
    mine = _of_model(model)
    sums = distributed.gather(_sums(mine))
    if all(other == sums[0] for other in sums):
        return [mine]
    on_cpu = {
        name: {key: gradient.cpu() for key, gradient in gradients.items()}
        for name, gradients in mine.items()
    }
    return distributed.gather(on_cpu)


def restore(model: Any, saved: Sequence[Mapping[str, Mapping[str, torch.Tensor]]]) -> None:
    """Give this rank's gradients back to the parameters of the same names; the others have none."""
    if not saved:
        return
    mine = saved[min(distributed.rank(), len(saved) - 1)]
    for name, key, parameter in _parameters(model):
        gradient = mine.get(name, {}).get(key)
        parameter.grad = None if gradient is None else gradient.to(parameter.device, copy=True)


def _of_model(model: Any) -> Gradients:
    found: Gradients = {name: {} for name in named(model)}
    for name, key, parameter in _parameters(model):
        if parameter.grad is not None:
            found[name][key] = parameter.grad.detach()
    return found


def _parameters(model: Any) -> Iterator[tuple[str, str, torch.nn.Parameter]]:
    for name, module in named(model).items():
        for key, parameter in unwrap(module).named_parameters():
            yield name, key, parameter


def _sums(gradients: Gradients) -> list[tuple[str, str, float, float]]:
    """Return two numbers for each gradient that tell those of other ranks apart."""
    if not distributed.several():
        return []
    return [
        (name, key, float(gradient.double().sum()), float(gradient.double().square().sum()))
        for name, found in gradients.items()
        for key, gradient in found.items()
    ]
