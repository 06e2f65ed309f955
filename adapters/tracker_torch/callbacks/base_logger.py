"""BaseLogger: batch metrics become epoch metrics, without waiting for the device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from tracker import BadValue, number, numbers, ready_number
from tracker.policies import averages
from tracker_torch.callback import Callback, Logs


class BaseLogger(Callback):
    """Average what is logged in batches over the epoch, weighted by batch size where one is given.

    `Training` has one of its own. With `CallbackList` alone, put it first: it adds up the logs of
    ``on_train_batch_end``, each batch weighted by ``logs["size"]`` times ``logs["num_steps"]``, 1 by
    default, as in Keras 2 (these two and ``batch`` are not metrics), and adds the averages to the
    logs of ``on_epoch_end`` under names that are not there yet.

    Numbers and CPU tensors are added as doubles. A tensor on another device is added to a running
    sum on that device, detached, and all sums are fetched together at the end of the epoch.

    Args:
        stateful_metrics: names whose last value stands for the epoch instead of the average.
    """

    order = -1

    def __init__(self, stateful_metrics: Iterable[str] | None = None) -> None:
        self.stateful_metrics = set(stateful_metrics or ())
        self._means: dict[str, _Mean] = {}

    def add(self, values: dict[str, Any], size: float | None = None) -> dict[str, Any]:
        """Count each value ``size`` times, once by default; with 0, not at all.

        Args:
            values: names and one number each; a float takes the place of all but tensors on a device.
            size: the weight of these values.

        Returns:
            ``values``.

        Raises:
            BadValue: for a value that is not one number, or a size that is none or negative.
                Nothing was counted then.
        """
        if size is None:
            weight = 1.0
        else:
            # In every batch: the usual case without a call.
            weight = size if size.__class__ is int and size > 0 else _weight(size)
        for name, value in values.items():
            # The usual case, in every batch, without another call.
            if value.__class__ is Tensor and value.is_cpu and not value.dim():
                value = values[name] = value.item()
            if value.__class__ is not float:
                values[name] = _plain(value, name)
        if not weight:
            return values
        means, stateful = self._means, self.stateful_metrics
        for name, value in values.items():
            mean = means.get(name)
            if mean is None:
                mean = means[name] = _Mean()
            if stateful and name in stateful:
                mean.reset()
            if value.__class__ is float:
                mean.total += value * weight
            else:
                mean.add_on_device(value, weight)
            mean.weight += weight
        return values

    def averages(self) -> dict[str, float]:
        """Return the averages since `reset`; this is where the device is waited for, once."""
        sums = {
            name: mean.on_device for name, mean in self._means.items() if mean.on_device is not None
        }
        for name, total in numbers(sums).items():
            self._means[name].total += total
            self._means[name].on_device = None
        return {name: mean.value for name, mean in self._means.items()}

    def reset(self) -> None:
        """Begin a new epoch."""
        self._means = {}

    def get_state(self) -> dict[str, Any]:
        """Return the sums so far, for a backup in the middle of an epoch."""
        self.averages()
        return {name: [mean.total, mean.weight] for name, mean in self._means.items()}

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin anew, or with the sums of a backup."""
        carried, self._carried = self._carried, None
        self._means = {name: _Mean(*sums) for name, sums in (carried or {}).items()}

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Add up a batch."""
        values: Mapping[str, Any] = getattr(logs, "raw", logs) or {}
        metrics = {name: values[name] for name in values if name not in averages.BOOKKEEPING}
        self.add(metrics, averages.weight_of(values))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the averages to the epoch's logs."""
        if logs is not None:
            for name, value in self.averages().items():
                logs.setdefault(name, value)
        self.reset()


class _Mean:
    """A sum and its weight; part of the sum may still lie on a device."""

    __slots__ = ("on_device", "total", "weight")

    def __init__(self, total: float = 0.0, weight: float = 0.0) -> None:
        self.total = total
        self.weight = weight
        self.on_device: torch.Tensor | None = None

    @property
    def value(self) -> float:
        return self.total / self.weight if self.weight else float("nan")

    def reset(self) -> None:
        self.total, self.weight, self.on_device = 0.0, 0.0, None

    def add_on_device(self, value: torch.Tensor, weight: float) -> None:
        # A sum made in inference mode could not be added to outside of it.
        with torch.inference_mode(False), torch.no_grad():
            value = value.detach().reshape(())
            if self.on_device is not None and self.on_device.device == value.device:
                self.on_device.add_(value, alpha=weight)
                return
            if self.on_device is not None:
                self.total += self.on_device.item()
            self.on_device = value.to(_widest(value.device), copy=True).mul_(weight)


def _plain(value: Any, name: str) -> Any:
    """Return a float, or the tensor where reading it would wait for its device.

    Raises:
        BadValue: as `tracker.number` does, for a tensor without storage as well: the sum of an epoch would have
            no value, and nobody could say since when.
    """
    ready = number(value, name) if getattr(value, "is_meta", False) else ready_number(value, name)
    return value if ready is None else ready


def _weight(size: Any) -> float:
    weight = number(size, "batch_size")
    if not 0 <= weight < float("inf"):
        raise BadValue(f"batch_size is {size}: it must be a number of 0 or more.")
    return weight


def _widest(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64
