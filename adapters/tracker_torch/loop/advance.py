"""How far a training is: by its batches, and by the steps of its optimizers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol
from weakref import proxy

from tracker_torch.loop.position import Position
from tracker_torch.loop.rates_used import RatesUsed
from tracker_torch.state.serialization import named

Count = tuple[int, int]


class Listening(Protocol):
    """A callback, as far as its hooks go."""

    def listens(self, hook: str) -> bool:
        """Whether it has something to do there."""


class Counted(Protocol):
    """The training whose batches are counted."""

    step: int
    first_epoch: int
    optimizer: Any
    position: Position
    rates_used: RatesUsed

    @property
    def callbacks(self) -> Sequence[Listening]:
        """All callbacks of this training."""

    @property
    def fed(self) -> Listening | None:
        """The callback that is fed by other means than its batch hooks."""


class Advance:
    """Tells whether anything was trained, and says what a loop that reports no batches leaves undone.

    Attributes:
        waits_for_batches: what has something to do in every batch and is no callback, by name.
        had_batch: whether any batch was begun.
    """

    def __init__(self, loop: Counted) -> None:
        self._loop = proxy(loop)  # a loop that nobody holds is to be dropped at once
        self.waits_for_batches: list[str] = []
        self.begin()

    def begin(self) -> None:
        """Begin a training."""
        self.had_batch = self._told_of_nothing = self._told_of_waiting = False
        self._told_of_successor = False
        self._at_begin = self._at_epoch = self.now

    def end_epoch(self) -> None:
        """Count the next epoch's batches from here."""
        self._at_epoch = self.now

    @property
    def now(self) -> Count:
        """How many batches were counted, and how many steps the optimizers made."""
        return self._loop.step, self._loop.rates_used.updates

    @property
    def counts_batches(self) -> bool:
        """Whether batches are reported: without them `CallbackList.step` says nothing."""
        return self.had_batch or self._loop.position.was_walked or self._loop.step > 0

    def has_trained_since(self, before: Count | None) -> bool:
        """Whether anything may have been trained since `now` was ``before``; True where nobody counts."""
        if before is None:
            return True
        # Where batches are counted, one that was not finished is not new.
        counted = 0 if self._loop.step > self._at_begin[0] else 1
        now = self.now[counted]
        return before[counted] != now or now == self._at_begin[counted]

    def warnings(self, epoch: int) -> Iterator[str]:
        """Yield warnings about an epoch without batches or with another optimizer, each once per training run."""
        loop = self._loop
        yield from self._of_successors()
        steps, updates = self._at_epoch
        if loop.step > steps or (epoch == loop.first_epoch and loop.position.in_epoch):
            return
        trained_before = updates > self._at_begin[1]
        if loop.position.was_walked:
            yield from self._of_nothing(epoch, "the loader of batches() gave none")
        elif trained_before and loop.rates_used.updates == updates:
            yield from self._of_nothing(epoch, "no optimizer made a step, as in earlier epochs")
        yield from self._of_waiting(epoch)

    def _of_successors(self) -> Iterator[str]:
        """Yield that the script trains with another optimizer than callbacks and checkpoints have."""
        given = {id(one) for one in named(self._loop.optimizer).values()}
        if self._told_of_successor or given.issuperset(map(id, self._loop.rates_used.successors)):
            return
        self._told_of_successor = True
        yield (
            "another optimizer than the one that was passed trains the model. The learning rates that are recorded "
            "are its own, but callbacks and checkpoints have the one that was passed: hand the new one over with "
            "training.callbacks.optimizer = optimizer (of a CallbackList, callbacks.optimizer)."
        )

    def _of_nothing(self, epoch: int, why: str) -> Iterator[str]:
        if not self._told_of_nothing:
            self._told_of_nothing = True
            yield (
                f"epoch {epoch} was recorded without training: {why}. A generator is used up after one "
                f"epoch: make a new one for each, or pass a list or a DataLoader."
            )

    def _of_waiting(self, epoch: int) -> Iterator[str]:
        """Yield who waits for batches that nobody reports."""
        if self._told_of_waiting or self.had_batch or self._loop.position.was_walked:
            return
        if self._loop.step > self._at_begin[0]:
            return
        self._told_of_waiting = True
        waiting = [
            type(entry).__name__
            for entry in self._loop.callbacks
            if entry is not self._loop.fed
            and (entry.listens("on_train_batch_end") or entry.listens("on_train_batch_begin"))
        ]
        for who in dict.fromkeys([*waiting, *self.waits_for_batches]):
            yield (
                f"{who} has something to do in every batch, but epoch {epoch} reported none: iterate over "
                f"training.batches(loader); with a CallbackList call on_train_batch_end(batch, logs)."
            )
