"""The step metrics of a run on their way into the database: logged, drained, cut into blocks per attempt."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import cached_property

from tracker.series.batch import Batch
from tracker.series.blocks import SeriesWriter
from tracker.series.buffer import Buffer
from tracker.storage import entries
from tracker.storage.entries import SeriesEntry

log = logging.getLogger("tracker")


class _AttemptBlocks:
    """The blocks of one attempt, and the batches that are not in them yet."""

    def __init__(self, attempt: int, first_block: int, shared: bool) -> None:
        self.attempt = attempt
        self.queued: deque[Batch] = deque()
        self._first_block = first_block
        self._shared = shared

    @cached_property
    def writer(self) -> SeriesWriter:
        """What cuts the blocks; many runs log no step metric and never need it."""
        return SeriesWriter(first_number=self._first_block, shared=self._shared)

    def pack(self) -> None:
        """Put the queued batches into blocks."""
        while self.queued:
            self.writer.add([self.queued.popleft()])


class StreamedMetrics:
    """Holds what `log` was called with until it is saved.

    Any thread may call `log` and `begin`; of the others one at a time.

    Args:
        run_id, attempt: what is logged first belongs to.
        next_step: the step of the first call that names none.
        wake: called when there is much to drain; it must only signal.
        first_block: the number of the first block of an attempt.
        shared: whether names that few calls have share a block.

    Attributes:
        buffer: what has been logged and not been drained.
        unsaved: whether anything drained is not in the database yet.
    """

    def __init__(
        self,
        run_id: str,
        attempt: int,
        *,
        next_step: int,
        wake: Callable[[], None],
        first_block: int = 0,
        shared: bool = True,
    ) -> None:
        self._run_id = run_id
        self.buffer = Buffer(next_step=next_step, wake=wake)
        self.log = self.buffer.log
        self.unsaved = False
        self._first_block = first_block
        self._shared = shared
        self._attempts = [_AttemptBlocks(attempt, first_block, shared)]
        # Reentrant: a signal handler may have interrupted its own thread while it drains.
        self._draining = threading.RLock()
        self._warned = False

    def begin(self, attempt: int, patience: float) -> None:
        """Take what is logged from now on for another attempt; what was logged before stays with the last one.

        Where another thread has been draining for longer than ``patience`` seconds (a device that does
        not answer), what was logged in the meantime counts for the new attempt as well.
        """
        self._drain(patience)
        self._attempts.append(_AttemptBlocks(attempt, self._first_block, self._shared))

    def take(self) -> None:
        """Take what has been logged; before that it is in the buffer, which is bounded."""
        self._drain()
        if self.buffer.warning is not None and not self._warned:
            self._warned = True
            log.warning(
                "local-tracker: %s Training continues; tracker runs show counts such values.",
                self.buffer.warning,
            )

    def _drain(self, patience: float = -1) -> None:
        current = self._attempts[-1]
        if self._draining.acquire(timeout=patience):
            try:
                batches = self.buffer.drain()
                current.queued.extend(batches)
                self.unsaved |= bool(batches)
            finally:
                self._draining.release()

    def pack(self) -> int:
        """Put what has been taken into blocks; returns how many bytes the full ones hold that are not saved."""
        for blocks in self._attempts:
            blocks.pack()
        return sum(blocks.writer.full_bytes for blocks in self._attempts)

    def pending(self) -> list[SeriesEntry]:
        """Return what has been taken and not been saved, as entries."""
        self.pack()
        return [
            entries.series(self._run_id, blocks.attempt, block)
            for blocks in self._attempts
            for block in blocks.writer.pending()
        ]

    def saved(self) -> None:
        """Note that everything `pending` returned last is in the database."""
        self.unsaved = False
        for blocks in self._attempts:
            blocks.writer.saved()
        while len(self._attempts) > 1 and not self._attempts[0].queued:
            del self._attempts[0]
        if any(blocks.queued for blocks in self._attempts):
            self.unsaved = True

    def abandon(self) -> int:
        """Give up what has been logged and is in no block; returns how many values are lost.

        What a thread drains at this moment is left to it.
        """
        self._drain(0)
        lost = 0
        for blocks in self._attempts:
            lost += sum(batch.points for batch in blocks.queued)
            blocks.queued.clear()
        self.buffer.dropped += lost
        return lost

    def forget(self) -> None:
        """Let go of everything after a fork: it belongs to the parent."""
        self.buffer.forget()
        self._draining = threading.RLock()
