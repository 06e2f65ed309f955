"""Batch metrics on their way to the run's step metrics: every so many-th step, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from itertools import count
from typing import Any

Log = Callable[[Mapping[str, Any], int], None]


class BatchPoints:
    """Counts steps across epochs and streams the metrics of every ``every``-th one.

    Where Keras may go on meanwhile it hands batches to several threads, which overtake each other:
    what comes early waits here for the batches before it, at most until the epoch's end.

    Args:
        every: steps from one point to the next; with several steps an execution, a point at the first
            execution that reaches or passes such a step.
        log: takes a batch's logs and their step, counted from 1; called for the steps that are due only.
    """

    def __init__(self, every: int, log: Log) -> None:
        self._every, self._log = every, log
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._early: list[tuple[int, int, Mapping[str, Any]]] = []
        self._arrivals = count()  # so that no two metrics are compared
        self._before = self._last = 0

    def begin_at(self, step: int) -> None:
        """Go on counting after so many steps."""
        self._before = self._last = step

    def begin_epoch(self) -> None:
        """Count batches from 0 again; nothing waits for those that never came."""
        self.end_epoch()
        self._before = self._last

    def end_epoch(self) -> None:
        """Log what still waits."""
        with self._lock:
            self._release(lambda step: True)

    def add(self, batch: int, metrics: Mapping[str, Any], stride: int) -> None:
        """Take a batch's metrics; ``stride``: how many steps one execution makes."""
        in_order = threading.get_ident() == self._thread
        with self._lock:
            heappush(self._early, (self._before + batch + 1, next(self._arrivals), metrics))
            self._release(lambda step: in_order or step <= self._last + stride)

    def _release(self, due: Callable[[int], bool]) -> None:
        while self._early and due(self._early[0][0]):
            step, _, metrics = heappop(self._early)
            reached, self._last = step // self._every > self._last // self._every, step
            if reached:
                self._log(metrics, step)
