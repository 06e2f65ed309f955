"""Several processes, one training: rank 0 judges and records, and the others follow its numbers."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import distributed as dist

import tracker

T = TypeVar("T")


def several() -> bool:
    """Whether this process trains together with others (`torch.distributed` is initialised)."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """Return this process's rank: from the process group, else from the launcher's variables."""
    return tracker.rank()


def share(value: T) -> T:
    """Return rank 0's ``value`` on every rank. Each rank must call it at the same place."""
    if not several():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=_device())
    return box[0]


def gather(value: T) -> list[T]:
    """Return every rank's ``value``, in the order of ranks, on every rank."""
    if not several():
        return [value]
    boxes: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(boxes, value)
    return boxes


def describe() -> dict[str, Any]:
    """Return the world this process is part of: its size, its backend and its rank."""
    if not (dist.is_available() and dist.is_initialized()):
        return {"world_size": 1, "backend": None, "rank": rank()}
    return {
        "world_size": dist.get_world_size(),
        "backend": str(dist.get_backend()),
        "rank": dist.get_rank(),
    }


def _device() -> torch.device:
    on_gpu = dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
