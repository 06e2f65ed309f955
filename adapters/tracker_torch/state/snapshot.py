"""Copies of tensors in the memory of the CPU, from which a file is written while training goes on."""

from __future__ import annotations

import torch


class Snapshot:
    """Copies tensors so that a file of the copies is that of the originals, byte for byte.

    What shares memory shares it in the copies: tied weights are saved once, and a view as a view. The memory
    of one snapshot is that of the next, so that there is never more than one.
    """

    def __init__(self) -> None:
        self._spare: dict[int, list[torch.Tensor]] = {}
        self._storages: dict[tuple[torch.device, int, int], torch.UntypedStorage] = {}
        self._copies: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._held: list[torch.Tensor] = []

    def begin(self) -> None:
        """Take another snapshot; the one before is not needed any more."""
        self._spare = {}
        for buffer in self._held:
            self._spare.setdefault(buffer.numel(), []).append(buffer)
        self._held = []

    def end(self) -> None:
        """Let go of the originals, and of memory that this snapshot has no use for."""
        self._spare, self._storages, self._copies = {}, {}, {}

    def copy(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the copy of a tensor: the same one for the same one."""
        known = self._copies.get(id(tensor))
        if known is not None:
            return known[1]
        copied = self._copied(tensor)
        # The original is held meanwhile: its id is its own.
        self._copies[id(tensor)] = tensor, copied
        return copied

    def _copied(self, tensor: torch.Tensor) -> torch.Tensor:
        kind = type(tensor)
        if tensor.is_meta or torch.nn.parameter.is_lazy(tensor):
            # It has no values yet.
            return tensor
        if kind not in (torch.Tensor, torch.nn.Parameter) or not _is_plain(tensor):
            return tensor.detach().to("cpu", copy=True).requires_grad_(tensor.requires_grad)
        copied = torch.empty(0, dtype=tensor.dtype, device="cpu")
        copied.set_(
            self._storage(tensor.untyped_storage()),
            tensor.storage_offset(),
            tensor.size(),
            tensor.stride(),
        )
        if kind is torch.nn.Parameter:
            return torch.nn.Parameter(copied, tensor.requires_grad)
        return copied.requires_grad_(tensor.requires_grad)

    def _storage(self, storage: torch.UntypedStorage) -> torch.UntypedStorage:
        key = storage.device, storage.data_ptr(), storage.nbytes()
        copied = self._storages.get(key) if storage.data_ptr() else None
        if copied is None:
            size = storage.nbytes()
            spare = self._spare.get(size)
            buffer = spare.pop() if spare else _buffer(size)
            self._held.append(buffer)
            source = torch.empty(0, dtype=torch.uint8, device=storage.device)
            # As a tensor of bytes: it is copied by several threads.
            buffer.copy_(source.set_(storage, 0, (size,), (1,)))
            copied = self._storages[key] = buffer.untyped_storage()
        return copied


def _buffer(size: int) -> torch.Tensor:
    """Return memory of the CPU, whatever the script has made the default device."""
    return torch.empty(size, dtype=torch.uint8, device="cpu")


def _is_plain(tensor: torch.Tensor) -> bool:
    """Say whether a tensor is a view of one storage, and nothing else."""
    return (
        tensor.layout is torch.strided
        and not tensor.is_quantized
        and not tensor.is_conj()
        and not tensor.is_neg()
    )
