"""Which runs this process has begun, and what becomes of them when it ends or forks.

We install no signal handlers. An uncaught exception is seen by `sys.excepthook`, an exit by
`atexit`, a kill later by whoever looks (`tracker.process`).
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracker.recording.run import Run

log = logging.getLogger("tracker")

_active: list[Run] = []
_uncaught: list[BaseException] = []
_installed = False


def active_run() -> Run | None:
    """Return the run started last in this process and not finished; None where there is none.

    One that records nothing counts as well: callbacks join it, and are silent with it.
    """
    return _active[-1] if _active else None


def is_active(run_id: str) -> bool:
    """Say whether this process has begun that run, and not finished it."""
    return any(run.id == run_id for run in _active)


def enter(run: Run) -> None:
    """Note a run that has started."""
    _install()
    _active.append(run)


def leave(run: Run) -> None:
    """Note that a run has finished."""
    if run in _active:
        _active.remove(run)


def call_all(calls: Iterable[Callable[[], object]]) -> None:
    """Call what waits for the end of a run; an error of one is told, and keeps nothing else from happening."""
    for call in calls:
        try:
            call()
        except Exception as error:
            log.warning("local-tracker: after the run: %s: %s", type(error).__name__, error)


def _install() -> None:
    global _installed
    if _installed:
        return
    _installed = True
    atexit.register(_at_exit)
    os.register_at_fork(after_in_child=_after_fork)
    earlier = sys.excepthook

    def hook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if not hasattr(sys, "ps1"):  # at a prompt the process goes on
            _uncaught.append(error)
        earlier(kind, error, traceback)

    sys.excepthook = hook


def _at_exit() -> None:
    # The newest run first; what one raises keeps no other from its end.
    with ExitStack() as endings:
        for run in _active:
            endings.callback(_end, run)


def _end(run: Run) -> None:
    if _uncaught:
        run.fail(_uncaught[-1])
    else:
        run.finish(*run.at_exit)


def _after_fork() -> None:
    for run in _active:
        run.disown()
    _active.clear()
