"""Hooks that are set on single callbacks while a training runs: the classes define none of them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import keras


class Hook:
    """A batch hook that is set on an instance: the classes define none.

    Keras looks at the classes' batch hooks when `fit` begins, to see whether it may continue while
    callbacks run; this one comes later, and is taken away again.
    """

    name: ClassVar[str]

    def __init__(self, callback: keras.callbacks.Callback) -> None:
        self.callback = weakref.ref(callback)
        setattr(callback, self.name, self)

    def remove(self) -> keras.callbacks.Callback | None:
        """Uncover the class's own hook."""
        callback = self.callback()
        if callback is not None and callback.__dict__.get(self.name) is self:
            delattr(callback, self.name)
        return callback


class LastOfAll(Hook):
    """Completes each epoch after Keras' own last callback, where ours do not hear of all of them.

    A subclass of ours may judge some epochs only, and leave out ``super().on_epoch_end``.
    """

    name = "on_epoch_end"

    def __init__(
        self,
        callback: keras.callbacks.Callback,
        complete: Callable[[int, dict[str, Any] | None], None],
    ) -> None:
        super().__init__(callback)
        self.complete = weakref.WeakMethod(complete)

    def __call__(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Hand the epoch on to the class's own hook, and complete it."""
        callback, complete = self.callback(), self.complete()
        if callback is not None:
            type(callback).on_epoch_end(callback, epoch, logs)
        if complete is not None:
            complete(epoch, logs)


class Probe(Hook):
    """Reads the learning rate at the batches that begin, and takes itself away once nothing is left to read.

    Keras waits for the hook of a batch that begins, other than for that of a batch that ends.
    """

    name = "on_train_batch_begin"

    def __init__(self, callback: keras.callbacks.Callback, read: Callable[[int], bool]) -> None:
        super().__init__(callback)
        self.read = weakref.WeakMethod(read)

    def __call__(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Have the rate read, and hand the batch on to the class's own hook."""
        callback, read = self.callback(), self.read()
        if read is None or not read(batch):
            self.remove()
        if callback is not None:
            type(callback).on_train_batch_begin(callback, batch, logs)


class BatchCount(Hook):
    """Counts an epoch's batches: neither the optimizer's count nor Keras' plan is what was trained.

    Attributes:
        done: how many batches of the epoch are done.
    """

    name = "on_train_batch_end"

    def __init__(self, callback: keras.callbacks.Callback) -> None:
        super().__init__(callback)
        self.done = 0

    def __call__(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Count the batch, and hand it on to the class's own hook."""
        # Threads may overtake each other.
        self.done = max(self.done, batch + 1)
        callback = self.callback()
        if callback is None:
            return
        type(callback).on_train_batch_end(callback, batch, logs)
