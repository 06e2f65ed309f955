"""Batch metrics on their way to the run's step metrics: every so many-th step, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from itertools import count
from threading import Lock, get_ident
from typing import Any

Log = Callable[[Mapping[str, Any], int], None]


class BatchPoints:
    """Counts steps across epochs and streams the metrics of every ``every``-th one.

    Where Keras may continue meanwhile it hands batches to several threads, which overtake each other:
    what comes early is queued for the batches before it, at most until the epoch's end.

    Args:
        every: steps from one point to the next; with several steps an execution, a point at the first
            execution that reaches or passes such a step.
        stride: returns how many steps one execution makes.
        log: takes a batch's logs and their step, counted from 1; called for the steps that are due only.
    """

    def __init__(self, every: int, stride: Callable[[], int], log: Log) -> None:
        self._every, self._stride, self._log = every, stride, log
        self._thread = get_ident()
        self._lock = Lock()
        self._early: list[tuple[int, int, Mapping[str, Any]]] = []
        self._arrivals = count()  # so that no two metrics are compared
        self._before = self._last = 0

    def begin_at(self, step: int) -> None:
        """Continue counting after so many steps."""
        self._before = self._last = step

    def begin_epoch(self) -> None:
        """Count batches from 0 again; those that never came are not missed."""
        self.end_epoch()
        self._before = self._last

    def end_epoch(self) -> int:
        """Log what came early, and return how many steps are done."""
        with self._lock:
            while self._early:
                self._take_earliest()
            return self._last

    def add(self, batch: int, metrics: Mapping[str, Any]) -> None:
        """Take a batch's metrics."""
        step = self._before + batch + 1
        with self._lock:
            # As good as always, and in every batch: there is nothing to put in order.
            if not self._early and (step == self._last + 1 or get_ident() == self._thread):
                self._take(step, metrics)
                return
            heappush(self._early, (step, next(self._arrivals), metrics))
            stride = self._stride()
            while self._early and self._early[0][0] <= self._last + stride:
                self._take_earliest()

    def _take_earliest(self) -> None:
        step, _, metrics = heappop(self._early)
        self._take(step, metrics)

    def _take(self, step: int, metrics: Mapping[str, Any]) -> None:
        every, last, self._last = self._every, self._last, step
        if step // every > last // every:
            self._log(metrics, step)
