"""The batches of a loop: walked, counted, and reported with what was logged in each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch

from tracker import Run
from tracker_torch.loop.distributed import several
from tracker_torch.loop.position import Position
from tracker_torch.loop.progress import Progress, length
from tracker_torch.loop.stop_request import StopRequest


class _Hooks(Protocol):
    """Who is told of every batch, and counts them: a `tracker_torch.CallbackList`."""

    epoch: int
    step: int
    position: Position
    stop_request: StopRequest

    @property
    def run(self) -> Run: ...
    def warn(self, text: str) -> None: ...
    def hears(self, hook: str) -> bool: ...
    def on_train_batch_begin(self, batch: int) -> None: ...
    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None: ...
    def on_test_begin(self) -> None: ...
    def on_test_batch_begin(self, batch: int) -> None: ...
    def on_test_batch_end(self, batch: int) -> None: ...
    def on_test_end(self) -> None: ...


class Batches:
    """Walks over loaders for `Training`, and reports each batch once it is over.

    Args:
        hooks: what is told of every batch.
        bar: drawn while batches of training are walked over.
        log_every: stream what was logged in every so many-th step; None for never.

    Attributes:
        logged: what was logged in the batch at hand; None where nobody wants to know.
    """

    def __init__(self, hooks: _Hooks, bar: Progress, log_every: int | None) -> None:
        self._hooks, self._bar, self._every = hooks, bar, log_every
        self.logged: dict[str, Any] | None = None
        # The number of the batch at hand, and whether its walk was broken off in it.
        self._open: int | None = None
        self._broken_off = False
        self._logged_before_break: dict[str, Any] | None = None
        # The epoch whose walk is under way, and whether one within it has come to its end.
        self._walking: int | None = None
        self._inner_ended = self._told = False

    @property
    def step(self) -> int:
        """How many training batches are done, one that the loop was broken off in included."""
        return self._hooks.step + self._broken_off

    def train(self, loader: Iterable[Any]) -> Iterator[Any]:
        """Yield the batches of ``loader``; each is a step, but for a walk within another."""
        hooks = self._hooks
        if self._open is not None and not self._broken_off and self._walking == hooks.epoch:
            yield from self._within(loader)
            return
        self.close_batch()
        self._walking = hooks.epoch
        begins = hooks.hears("on_train_batch_begin")
        heard = self._every or hooks.hears("on_train_batch_end")
        walk = hooks.position.walk(loader, hooks.warn)
        stop_flags = hooks.stop_request.flags
        try:
            for number, batch in self._bar.over(walk, length(loader), hooks.epoch):
                if begins:
                    hooks.on_train_batch_begin(number)
                if heard:
                    self.logged = {}
                self._open = number
                self._inner_ended = False
                yield batch
                if heard:
                    self.close_batch()
                # The usual case, and in every batch.
                elif self._open is not None:
                    self._open = None
                    hooks.step += 1
                for flags in stop_flags:
                    # Ranks stop together, at the end of the epoch: one alone would keep the others waiting.
                    if flags.get("stop_training") and not several():
                        return
        except GeneratorExit:
            # A `zip` whose second loader is shorter has taken one from the first for nothing.
            if self._inner_ended:
                self._open = None
            # By `break` or by an error, nobody can tell here: see `close_batch`.
            self._broken_off = self._open is not None
            self._logged_before_break, self.logged = self.logged, None
            raise

    def _within(self, loader: Iterable[Any]) -> Iterator[Any]:
        """Yield the batches of a loader that is walked over together with another: those are not steps of their own."""
        if not self._told:
            self._told = True
            self._hooks.warn(
                "two batches() at once: the steps are the batches of the first, and a backup in the middle "
                "of an epoch knows the place in that one only. Walk over both in one: "
                "training.batches(zip(first, second))."
            )
        self._hooks.position.meet(loader)
        yield from loader
        self._inner_ended = True

    def test(self, loader: Iterable[Any]) -> Iterator[Any]:
        """Yield the batches of ``loader``, which are not steps; what is logged in them belongs to no training batch."""
        hooks, (outer, self.logged) = self._hooks, (self.logged, None)
        try:
            hooks.on_test_begin()
            hooks.position.meet(loader)
            for number, batch in enumerate(loader):
                hooks.on_test_batch_begin(number)
                yield batch
                hooks.on_test_batch_end(number)
            hooks.on_test_end()
        finally:
            self.logged = outer

    def note(self, values: Mapping[str, Any]) -> None:
        """Take what was logged: floats, and tensors on a device, which may change after this."""
        if self.logged is not None:
            for name, value in values.items():
                kept = value.detach().clone() if isinstance(value, torch.Tensor) else value
                self.logged[name] = kept

    def close_batch(self, *, done: bool = True) -> None:
        """Count and report the batch at hand, if there is one; forget it where it is not done.

        After a ``break`` it is still at hand when the epoch ends; after an error training ends.
        """
        number = self._open
        logged = self._logged_before_break if self._broken_off else self.logged
        self._open, self._broken_off = None, False
        self._logged_before_break, self.logged = None, None
        if number is None or not done:
            return
        hooks = self._hooks
        step = hooks.step + 1
        # Before the hooks: a backup that is made there continues after this step.
        if self._every and logged and step % self._every == 0:
            hooks.run.log(logged, step=step)
        hooks.on_train_batch_end(number, logged)
