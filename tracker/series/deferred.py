"""Values that wait on a device: taken as they are now, read together later.

Reading one number from an accelerator makes the caller wait for everything queued before it.
`snapshot` therefore copies such a value where it lies, which only queues one more operation, and
`fetch` reads many copies with one transfer for each device and dtype.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from tracker.values import element_count, number

_NUMBERS = (float, int, np.floating, np.integer, np.bool_)
_USUAL: frozenset[Any] = frozenset({int, np.float32, np.float64})  # found without looking further


class Deferred:
    """A one-element tensor of ours alone, on its device, not yet read."""

    __slots__ = ("read", "tensor")

    def __init__(self, tensor: Any, read: Callable[[list[Any]], npt.NDArray[np.float64]]) -> None:
        self.tensor = tensor
        self.read = read

    @property
    def kind(self) -> tuple[object, str, str]:
        """What can be read in one go: the framework, the device and the dtype."""
        return self.read, str(self.tensor.device), str(self.tensor.dtype)


def snapshot(value: Any, name: str) -> float | Deferred:
    """Return ``value`` as a float, or as a copy on its device where reading it would wait.

    Raises:
        BadValue: as `number` does.
    """
    read = _read_now(value, name)
    return _copied(value) if read is None else read


def check(value: Any, name: str) -> None:
    """Raise what `snapshot` raises; copies nothing and waits for no device."""
    _read_now(value, name)


def _read_now(value: Any, name: str) -> float | None:
    """Return ``value`` as a float; None where reading it would wait for a device."""
    try:
        if value.__class__ in _USUAL:
            return float(value)
        if getattr(value, "is_cpu", False):  # a torch tensor that nobody has to wait for
            return float(value.item())
        if isinstance(value, _NUMBERS) and isfinite(found := float(value)):
            return found
        waits = element_count(value) == 1
    except Exception:  # whatever the value's own methods raise
        waits = False
    if not waits:
        return number(value, name)  # or says what is wrong
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return number(value, name) if value.is_complex() else None
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and isinstance(value, (tensorflow.Tensor, tensorflow.Variable)):
        if (
            "CPU" in (value.device or "CPU")
            or value.dtype.is_complex
            or value.dtype.name == "string"
        ):
            return number(value, name)
        return None
    return number(value, name)


def _copied(tensor: Any) -> Deferred:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(tensor, torch.Tensor):
        return Deferred(tensor.detach().clone(), read_torch)
    if isinstance(tensor, sys.modules["tensorflow"].Variable):
        tensor = tensor.read_value()
    return Deferred(tensor, read_tensorflow)


def fetch(waiting: Sequence[Deferred]) -> list[float | None]:
    """Read all, with one transfer for each device and dtype; None for what cannot be read."""
    groups: dict[object, list[int]] = {}
    for place, item in enumerate(waiting):
        groups.setdefault(item.kind, []).append(place)
    found: list[float | None] = [None] * len(waiting)
    for places in groups.values():
        for place, value in zip(places, _together([waiting[i] for i in places]), strict=True):
            found[place] = value
    return found


def _together(waiting: list[Deferred]) -> Sequence[float | None]:
    try:
        return waiting[0].read([item.tensor for item in waiting]).tolist()  # type: ignore[no-any-return]
    except Exception:  # whatever a driver raises: one unreadable value must not take the others
        return [_alone(item) for item in waiting]


def _alone(item: Deferred) -> float | None:
    try:
        return number(item.tensor, "value")
    except Exception:
        return None


def read_torch(tensors: list[Any]) -> npt.NDArray[np.float64]:
    """Read one-element torch tensors of one device and dtype."""
    torch = sys.modules["torch"]
    device = tensors[0].device
    if device.type == "cuda":  # the copies may be queued on any stream of the training thread
        torch.cuda.synchronize(device)
    with torch.no_grad():
        stacked = torch.stack([tensor.reshape(()) for tensor in tensors]).cpu()
        return stacked.double().numpy()  # type: ignore[no-any-return]


def read_tensorflow(tensors: list[Any]) -> npt.NDArray[np.float64]:
    """Read one-element TensorFlow tensors of one device and dtype."""
    tensorflow = sys.modules["tensorflow"]
    stacked = tensorflow.stack([tensorflow.reshape(tensor, ()) for tensor in tensors])
    return stacked.numpy().astype(np.float64)  # type: ignore[no-any-return]
