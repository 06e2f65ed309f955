"""Which runs are being recorded, by whom, and what becomes of them when the process ends or forks.

The one table of the process. A run is *live* from its start to its end. The runs of the current
context (a thread, an asyncio task) are nested: the innermost one is the active one, and a new thread
begins with none. A training that records into a run holds a `Claim` on it, so that no other
training mixes its epochs into it.

Of signals only SIGTERM is looked at, where nobody else does (`tracker.recording.termination`). An
uncaught exception is seen by `sys.excepthook`, that of a thread by `threading.excepthook`, an exit with a
status by our `sys.exit`, which calls the original, the end by `atexit`, and a kill later by whoever looks
(`tracker.process`).
"""

from __future__ import annotations

import atexit
import logging
import opcode
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Generic, NoReturn, Protocol, TypeVar
from weakref import ReferenceType, ref

from tracker.recording.termination import REASON, Termination

log = logging.getLogger("tracker")


class Recording(Protocol):
    """What this table knows of a `tracker.Run`."""

    id: str
    name: str
    at_exit: tuple[str, str | None]

    @property
    def finished(self) -> bool:
        """Whether it has ended."""

    def fail(self, error: BaseException) -> None:
        """End it because of an exception."""

    def finish(self, status: str = ..., reason: str | None = ...) -> None:
        """End it with a status."""

    def interrupt(self, reason: str) -> None:
        """End it as interrupted, soon: the process was asked to end."""

    def wait_for_saves(self) -> None:
        """Wait for the files that are being saved beside the training."""

    def disown(self) -> None:
        """Leave it to the parent process, after a fork."""


R = TypeVar("R", bound=Recording)


class Owner(Protocol):
    """A training that records into a run: what holds a `Claim`."""

    def is_left(self) -> bool:
        """Whether nobody drives this training any more, although it has not ended."""

    def close_left(self) -> None:
        """End it honestly, and release its claim."""


@dataclass(eq=False)
class Claim(Generic[R]):
    """A training's hold on its run.

    Attributes:
        run: the run.
        started: whether it was started for this training, which then ends it.
        notes: a sentence for each argument that came too late, to warn with.
    """

    run: R
    owner: ReferenceType[Owner]
    started: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        """Whether a training run still records into the run."""
        return _claims.get(self.run) is self and not self.run.finished and not self.is_left

    @property
    def is_left(self) -> bool:
        """Whether the training was dropped, or nobody drives it any more."""
        owner = self.owner()
        return owner is None or owner.is_left()

    def release(self) -> None:
        """Leave the run to its next training; a second time changes nothing."""
        if _claims.get(self.run) is self:
            del _claims[self.run]


_live: dict[Recording, threading.Thread] = {}
"""The runs that this process has begun and not finished, oldest first, and which thread has begun each."""
_uncaught: dict[Recording, BaseException] = {}
"""Of live runs: what nobody caught in the thread that began them."""
_claims: dict[Recording, Claim[Recording]] = {}
"""By run; the training may have ended without releasing it."""
_claiming = threading.Lock()
"""Threads that took one context along find the same run free at the same time."""
_nested: ContextVar[tuple[Recording, ...]] = ContextVar("tracker_runs", default=())
"""The runs of this context, the innermost last; ended ones among them are passed over."""


def live_runs() -> list[Recording]:
    """Return the runs that this process has begun and not finished, oldest first."""
    return list(_live)


def runs_here() -> Iterator[Recording]:
    """Give the unfinished runs of this context, the innermost first."""
    return (run for run in reversed(_nested.get()) if run in _live)


def is_active(run_id: str) -> bool:
    """Say whether this process has begun that run, and not finished it."""
    return any(run.id == run_id for run in live_runs())


def enter(run: Recording) -> None:
    """Make a run the innermost one of this context."""
    _exits.install()
    _termination.watch()
    _live.setdefault(run, threading.current_thread())
    others = (one for one in _nested.get() if one is not run and one in _live)
    _nested.set((*others, run))


def leave(run: Recording) -> None:
    """Note that a run has finished."""
    _live.pop(run, None)
    _uncaught.pop(run, None)
    _claims.pop(run, None)
    if not _live:
        _termination.leave()


def claim(run: R, owner: Owner, *, started: bool = False) -> Claim[R]:
    """Give a run to the owner of a training run; whether it may have it is `claim_free`'s business."""
    made = Claim(run, ref(owner), started)
    _claims[run] = made  # type: ignore[assignment]  # a Claim is only read through this table
    return made


def claim_free(run: R, owner: Owner) -> Claim[R] | None:
    """Give a run to a training unless another one records into it; None then. One thread at a time asks."""
    with _claiming:
        return claim(run, owner) if holder(run) is None else None


def holder(run: Recording) -> Claim[Recording] | None:
    """Return the claim of the training that records into a run; None where the run is free."""
    held = _claims.get(run)
    return held if held is not None and held.is_live else None


def close_left_trainings(*runs: Recording) -> None:
    """End the trainings of these runs, and of those of this context, that nobody drives any more."""
    for run in dict.fromkeys([*runs, *runs_here()]):
        held = _claims.get(run)
        if held is not None and held.is_left:
            _close_left(held)


def _close_left(held: Claim[Recording]) -> None:
    log.warning(
        "local-tracker: the training run recorded in %s was left before it ended; it is closed now.",
        held.run.name,
    )
    owner = held.owner()
    try:
        if owner is not None:
            owner.close_left()
        elif held.started and not held.run.finished:
            held.run.finish("interrupted", "training was dropped before it ended")
    finally:
        held.release()


def call_all(calls: Iterable[Callable[[], object]]) -> None:
    """Call what was registered for the end of a run; an error of one is logged, and keeps no other from its turn."""
    for call in calls:
        try:
            call()
        except Exception as error:
            log.warning("local-tracker: after the run: %s: %s", type(error).__name__, error)


class _Exits:
    """How the process ends: what the hooks below have seen of it."""

    def __init__(self) -> None:
        self.uncaught: list[BaseException] = []
        self._exit: SystemExit | None = None
        self._main: FrameType | None = None
        self._installed = False

    def install(self) -> None:
        """Look out for the end of the process; a second time changes nothing."""
        if self._installed:
            return
        self._installed = True
        self._main = _outermost_frame()
        atexit.register(self.end_all)
        os.register_at_fork(
            before=_termination.before_fork,
            after_in_parent=_termination.after_fork,
            after_in_child=_after_fork,
        )
        excepthook, of_threads, exit_ = sys.excepthook, threading.excepthook, sys.exit

        def hook(
            kind: type[BaseException], error: BaseException, traceback: TracebackType | None
        ) -> None:
            if not hasattr(sys, "ps1"):  # at a prompt the process continues
                self.uncaught.append(error)
            excepthook(kind, error, traceback)

        def hook_of_threads(given: threading.ExceptHookArgs) -> None:
            for run, thread in list(_live.items()):
                if thread is given.thread and given.exc_value is not None:
                    _uncaught[run] = given.exc_value
            of_threads(given)

        def exit(status: object = None, /) -> NoReturn:
            if threading.current_thread() is threading.main_thread():
                self._exit = SystemExit(status)
            exit_(status)  # type: ignore[arg-type]  # whatever a caller hands over

        sys.excepthook, threading.excepthook, sys.exit = hook, hook_of_threads, exit

    def end_all(self) -> None:
        """End what is still live, the newest run first; what one raises keeps no other from its end."""
        try:
            with ExitStack() as endings:
                for run in live_runs():
                    endings.callback(self._end, run)
        except KeyboardInterrupt as error:
            # Once more Ctrl-C: raised from here, it would be told as an error of ours, and be ignored.
            self.uncaught.append(error)
        if self.uncaught and isinstance(self.uncaught[-1], KeyboardInterrupt):
            _keep_exit_status_of_an_interrupt()

    def _end(self, run: Recording) -> None:
        if run in _uncaught:
            run.fail(_uncaught[run])
        elif self.uncaught:
            run.fail(self.uncaught[-1])
        elif self._exit is not None and self._exit.code not in (None, 0) and self._was_cut_off():
            run.fail(self._exit)
        else:
            run.finish(*run.at_exit)

    def _was_cut_off(self) -> bool:
        """Say whether the script did not come to its own end: an exit may have been caught on the way."""
        if self._main is None:
            return True
        code = self._main.f_code.co_code
        return not opcode.opname[code[self._main.f_lasti]].startswith("RETURN")


def _keep_exit_status_of_an_interrupt() -> None:
    """Let the process still end as Ctrl-C ends one, so that a shell's loop around it ends too.

    CPython forgets that an interrupt was uncaught when code is compiled and run afterwards, as
    SQLAlchemy 2.0 does for a statement that is used for the first time.
    """
    with suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")


def _outermost_frame() -> FrameType | None:
    """Return the frame that the interpreter began with, where this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return None
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    return frame


def _after_fork() -> None:
    global _claiming
    for run in live_runs():
        run.disown()
    _live.clear()
    _uncaught.clear()
    _claims.clear()
    _termination.leave()
    _termination.after_fork()
    # Another thread of the parent may hold it.
    _claiming = threading.Lock()


def _interrupt_all() -> None:
    with ExitStack() as endings:
        for run in live_runs():
            endings.callback(run.interrupt, REASON)


_exits = _Exits()
_termination = Termination(_interrupt_all)
