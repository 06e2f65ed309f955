"""The batches of a loop: walked, counted, and reported with what was logged in each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from tracker_torch.callback_list import CallbackList
from tracker_torch.loop.distributed import several
from tracker_torch.loop.progress import Progress, length


class Batches:
    """Walks over loaders for `Training`, and reports each batch once it is over.

    Args:
        callbacks: what is told of every batch.
        bar: drawn while batches of training are walked over.
        log_every: stream what was logged in every so many-th step; None for never.

    Attributes:
        logged: what was logged in the batch at hand; None where nobody wants to know.
    """

    def __init__(self, callbacks: CallbackList, bar: Progress, log_every: int | None) -> None:
        self._callbacks, self._bar, self._every = callbacks, bar, log_every
        self.logged: dict[str, Any] | None = None
        self._open: int | None = None
        self._left = False
        self._reported: dict[str, Any] | None = None

    @property
    def step(self) -> int:
        """How many training batches are done, one that the loop was left in included."""
        return self._callbacks.step + self._left

    def train(self, loader: Iterable[Any]) -> Iterator[Any]:
        """Yield the batches of ``loader``; each is a step."""
        self.settle()
        callbacks = self._callbacks
        begins = callbacks.hears("on_train_batch_begin")
        heard = self._every or callbacks.hears("on_train_batch_end")
        walk = callbacks.position.walk(loader, callbacks.warn)
        stops = callbacks.flags
        try:
            for number, batch in self._bar.over(walk, length(loader), callbacks.epoch):
                if begins:
                    callbacks.on_train_batch_begin(number)
                if heard:
                    self.logged = {}
                self._open = number
                yield batch
                if heard:
                    self.settle()
                elif self._open is not None:  # the usual case, and in every batch
                    self._open = None
                    callbacks.step += 1
                for flags in stops:
                    # Ranks stop together, at the end of the epoch: one alone would leave the others waiting.
                    if flags.get("stop_training") and not several():
                        return
        except GeneratorExit:
            # By `break` or by an error, nobody can tell here: see `settle`.
            self._left, self._reported, self.logged = self._open is not None, self.logged, None
            raise

    def test(self, loader: Iterable[Any]) -> Iterator[Any]:
        """Yield the batches of ``loader``, which are no steps; what is logged is no training batch's."""
        callbacks, (outer, self.logged) = self._callbacks, (self.logged, None)
        try:
            callbacks.on_test_begin()
            for number, batch in enumerate(loader):
                callbacks.on_test_batch_begin(number)
                yield batch
                callbacks.on_test_batch_end(number)
            callbacks.on_test_end()
        finally:
            self.logged = outer

    def note(self, values: Mapping[str, Any]) -> None:
        """Take what was logged: floats, and tensors on a device, which may change after this."""
        if self.logged is not None:
            for name, value in values.items():
                kept = value.detach().clone() if isinstance(value, torch.Tensor) else value
                self.logged[name] = kept

    def settle(self, *, done: bool = True) -> None:
        """Count and report the batch at hand, if one is; forget it where it is not done.

        After a ``break`` it is still at hand when the epoch ends; after an error training ends.
        """
        number, logged = self._open, self._reported if self._left else self.logged
        self._open, self._left, self._reported, self.logged = None, False, None, None
        if number is None or not done:
            return
        callbacks = self._callbacks
        callbacks.on_train_batch_end(number, logged)
        if self._every and logged and callbacks.step % self._every == 0:
            callbacks.run.log(logged, step=callbacks.step)
