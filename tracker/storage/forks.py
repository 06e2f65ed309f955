"""Forks of this process, and what SQLite does meanwhile.

SQLite keeps the locks of a process in its memory. A child that is forked while another thread writes gets a copy of
them, and nobody in the child lets them go: it waits for itself, for ever, and keeps our lock file from its parent.
"""

from __future__ import annotations

import os
import threading
import time

_FORK_SECONDS = 0.5
"""A fork waits for writes no longer: one that hangs holds up no training."""
_POLL_SECONDS = 0.001


class _Forks:
    """Keeps forks of this process and its writes apart; a thread may fork within a write of its own."""

    def __init__(self) -> None:
        self._writing: dict[object, int] = {}
        self._forking: list[int] = []
        self._passed = threading.Event()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before, after_in_parent=self._after, after_in_child=self._in_child
            )

    def begin(self, writer: object) -> None:
        """Note that this thread writes from now on, once no other one is about to fork."""
        mine = threading.get_ident()
        self._writing[writer] = mine
        while any(thread != mine for thread in self._forking):
            del self._writing[writer]
            self._passed.wait(_FORK_SECONDS)
            self._writing[writer] = mine

    def end(self, writer: object) -> None:
        """Note that the writer has ended; a second time changes nothing."""
        self._writing.pop(writer, None)

    def _before(self) -> None:
        mine = threading.get_ident()
        self._passed.clear()
        self._forking.append(mine)
        give_up = time.monotonic() + _FORK_SECONDS
        while any(thread != mine for thread in list(self._writing.values())):
            if time.monotonic() > give_up:
                break
            time.sleep(_POLL_SECONDS)

    def _after(self) -> None:
        self._forking.remove(threading.get_ident())
        if not self._forking:
            self._passed.set()

    def _in_child(self) -> None:
        self._writing.clear()
        self._forking.clear()
        # Another thread of the parent may have held the lock of the old one.
        self._passed = threading.Event()


FORKS = _Forks()
