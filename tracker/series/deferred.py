"""Values that wait on a device: taken as they are now, read together later.

Reading one number from an accelerator makes the caller wait for everything queued before it.
`snapshot` therefore copies such a value where it lies, which only queues one more operation, and
`fetch` reads many copies with one transfer for each device and dtype. `numbers` does the same for
values that are wanted now.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
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


def ready_number(value: Any, name: str) -> float | None:
    """Return ``value`` as a float; None where reading it would wait for its device.

    Whether its device can be read is found out by whoever reads it: `numbers` names the value, `fetch` leaves it out.

    Raises:
        BadValue: as `number` does; the number of elements is known without waiting.
    """
    try:
        if value.__class__ in _USUAL:
            return float(value)
        if getattr(value, "is_cpu", False):  # a torch tensor that nobody has to wait for
            return float(value.item())
        if isinstance(value, _NUMBERS) and isfinite(found := float(value)):
            return found
        waits = element_count(value) == 1 and _lies_on_a_device(value)
    except Exception:  # whatever the value's own methods raise
        waits = False
    return None if waits else number(value, name)  # or says what is wrong


def _lies_on_a_device(value: Any) -> bool:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return not value.is_complex()
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and isinstance(value, (tensorflow.Tensor, tensorflow.Variable)):
        on_cpu = "CPU" in (value.device or "CPU")
        return not (on_cpu or value.dtype.is_complex or value.dtype.name == "string")
    return False


def snapshot(value: Any, name: str) -> float | Deferred:
    """Return ``value`` as a float, or as a copy on its device where reading it would wait.

    Raises:
        BadValue: as `number` does.
    """
    ready = ready_number(value, name)
    return _copied(value) if ready is None else ready


def check(value: Any, name: str) -> None:
    """Raise what `snapshot` raises; copies nothing and waits for no device."""
    ready_number(value, name)


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Return every value as a float, with one transfer for each device and dtype.

    Call it where the values were computed: what other streams still write is not waited for.

    Raises:
        BadValue: as `number` does.
    """
    read: dict[str, float] = {}
    groups: dict[object, dict[str, Any]] = {}
    for name, value in values.items():
        ready = ready_number(value, str(name))
        # A name keeps its place, though its value comes later.
        read[str(name)] = float("nan") if ready is None else ready
        if ready is None:
            groups.setdefault((str(value.device), str(value.dtype)), {})[str(name)] = value
    for group in groups.values():
        read.update(zip(group, _read_at_once(group), strict=True))
    return read


def _read_at_once(group: dict[str, Any]) -> list[float]:
    """Read tensors of one framework, device and dtype; where that fails, raise for the first without a value."""
    tensors = list(group.values())
    reader = stack_torch if hasattr(tensors[0], "detach") else read_tensorflow
    try:
        return reader(tensors).tolist()  # type: ignore[no-any-return]
    except Exception:  # whatever a driver raises
        return [number(tensor, name) for name, tensor in group.items()]


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
    return stack_torch(tensors)


def stack_torch(tensors: list[Any]) -> npt.NDArray[np.float64]:
    """Read one-element torch tensors of one device and dtype, as the present stream sees them."""
    torch = sys.modules["torch"]
    with torch.no_grad():
        stacked = torch.stack([tensor.detach().reshape(()) for tensor in tensors]).cpu()
        return stacked.double().numpy()  # type: ignore[no-any-return]


def read_tensorflow(tensors: list[Any]) -> npt.NDArray[np.float64]:
    """Read one-element TensorFlow tensors of one device and dtype."""
    tensorflow = sys.modules["tensorflow"]
    stacked = tensorflow.stack([tensorflow.reshape(tensor, ()) for tensor in tensors])
    return stacked.numpy().astype(np.float64)  # type: ignore[no-any-return]
