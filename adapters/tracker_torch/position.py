"""Where a training is in its data: the generators of its loaders, and the batch within the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch

from tracker_torch import state


class Position:
    """Lets a resumed training see the same batches in the same order.

    A loader that shuffles by a generator of its own (``DataLoader(generator=…)``, or that of its
    sampler, batch sampler or the sampler within that) goes on where that one was; others draw from
    torch's global generator, which a backup keeps anyway. After a backup in the middle of an epoch,
    the batches that were done are read and passed over, with the generators as they were when that
    epoch began.

    Attributes:
        watch_batches: whether there are backups in the middle of epochs.
        in_epoch: whether such a backup was restored.
    """

    def __init__(self) -> None:
        self._generators: list[torch.Generator] = []
        self._waiting: list[Any] = []
        self._began: dict[str, Any] | None = None
        self._resumed: tuple[dict[str, Any], int] | None = None
        self._start: tuple[int, int] | None = None
        self.watch_batches = self.in_epoch = False

    def as_dict(self) -> dict[str, Any]:
        """Return the generators' states, now and when the epoch's batches began, and its first step."""
        return {"generators": self._states(), "began": self._began, "start": self._start}

    def begin(self, epoch: int, step: int) -> None:
        """Note how many steps were done when an epoch began; one that goes on in the middle keeps its."""
        if self._resumed is None:
            self._start = (epoch, step)

    def first_step(self, epoch: int) -> int | None:
        """Return how many steps were done when ``epoch`` began; None where its beginning is not known."""
        return self._start[1] if self._start is not None and self._start[0] == epoch else None

    def load(self, saved: Mapping[str, Any], batch: int | None) -> None:
        """Go on from there; ``batch``: how many of the epoch's batches are done, None for all."""
        self._waiting, self.in_epoch = list(saved["generators"]), batch is not None
        if batch is not None and saved["began"] is not None:
            self._resumed, self._start = (saved["began"], batch), saved.get("start")

    def walk(self, loader: Any) -> Iterator[tuple[int, Any]]:
        """Return an iterator of ``(number, batch)`` that begins after the batches that are done."""
        self._meet(loader)
        resumed, self._resumed = self._resumed, None
        if resumed is None:
            if self.watch_batches:
                self._began = {"rng": state.rng_state(), "generators": self._states()}
            return enumerate(loader)
        self._began, done = resumed
        now, states = state.rng_state(), self._states()
        self._set(self._began["rng"], self._began["generators"])
        batches = enumerate(loader)
        for _ in islice(batches, done):
            pass
        self._set(now, states)
        return batches

    def _meet(self, loader: Any) -> None:
        """Note the loader's own generators, and give each the state it had when it was backed up."""
        batches = getattr(loader, "batch_sampler", None)
        samplers = (getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None))
        for owner in (loader, *samplers):
            generator = getattr(owner, "generator", None)
            if isinstance(generator, torch.Generator) and not any(
                generator is known for known in self._generators
            ):
                self._generators.append(generator)
                if self._waiting:
                    generator.set_state(self._waiting.pop(0))

    def _states(self) -> list[Any]:
        return [generator.get_state() for generator in self._generators]

    def _set(self, rng: Mapping[str, Any], states: list[Any]) -> None:
        state.set_rng_state(rng)
        for generator, saved in zip(self._generators, states, strict=False):
            generator.set_state(saved)
