"""Says how long the machine stood still: what a call took then was not the fault of what it waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY = 0.05


class Pulse:
    """Beats in a thread; ``longest`` is how many seconds it was late at most."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._enough = threading.Event()

    def beat(self) -> None:
        """Beat until that is enough."""
        before = time.monotonic()
        while not self._enough.wait(EVERY):
            now = time.monotonic()
            self.longest = max(self.longest, now - before - EVERY)
            before = now

    def stop(self) -> None:
        """Let it end."""
        self._enough.set()


@contextmanager
def pulse() -> Iterator[Pulse]:
    """Give a pulse that beats within the block."""
    made = Pulse()
    thread = threading.Thread(target=made.beat)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join()
