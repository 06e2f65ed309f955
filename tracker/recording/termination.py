"""SIGTERM, with which schedulers announce that they are about to kill a job: runs end as interrupted.

A handler of ours stands only while a run is recorded, in the main thread, and where nobody else has one. It
ends the runs, and then lets the signal do what it would have done.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

REASON = "the process was asked to end (SIGTERM)"


class Termination:
    """What is done on SIGTERM; ``end`` ends the runs."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._process = os.getpid()
        self._mask: set[signal.Signals] | None = None

    def watch(self) -> None:
        """Stand in for the default action; anything else is left alone."""
        try:
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                signal.signal(signal.SIGTERM, self._handle)
                self._process = os.getpid()
        except ValueError:
            pass  # only the main thread may

    def leave(self) -> None:
        """Put the default action back, where the handler is still ours."""
        try:
            if signal.getsignal(signal.SIGTERM) == self._handle:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        except ValueError:
            pass  # another thread has ended the last run: the handler has nothing to do any more

    def before_fork(self) -> None:
        """Hold the signal back: one that a child gets before it has the default action would be forgotten."""
        if signal.getsignal(signal.SIGTERM) == self._handle:
            self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # type: ignore[assignment]

    def after_fork(self) -> None:
        """Let the signal through again."""
        mask, self._mask = self._mask, None
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # A forked child has the handler, and none of the runs.
        if os.getpid() == self._process:
            self._end()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
