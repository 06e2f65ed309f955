"""A thread that does what it is handed: whoever waits for a disk or a server waits a while, not for ever.

A call that hangs in the kernel cannot be ended from outside. So it is made by a worker, and the thread
that needs it goes on without it: the job stays the worker's, and is done when disk or server answer.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.2
_LEAST_STARVATION = 0.02
"""Of `_LOOK_SECONDS`: what shows that a worker waits for a processor."""
_LONGEST_STARVATION = 15.0


class Unfinished(Exception):
    """A job is not done yet; it may still be."""


class Job(Generic[T]):
    """One call, made by another thread."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: T | None = None
        self._error: BaseException | None = None
        # Not an Event: a signal handler may hand over a job while its own thread waits for one.
        self._running = threading.Lock()
        self._running.acquire()

    @property
    def done(self) -> bool:
        """Whether the call has returned, or raised."""
        return not self._running.locked()

    def run(self) -> None:
        """Make the call, in this thread."""
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error
        finally:
            self._running.release()

    def wait(self, seconds: float | None = None) -> T:
        """Return what the call returns, or raise what it raises; wait at most ``seconds``, or for ever.

        Raises:
            Unfinished: it takes longer.
        """
        if not self._running.acquire(timeout=-1 if seconds is None else max(0.0, seconds)):
            raise Unfinished
        self._running.release()
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._result  # type: ignore[return-value]  # a call that did not raise has returned


class OwnLock:
    """A lock that knows who holds it.

    Finalizers, signal handlers and handlers of log messages run within whatever a thread does, and may need the
    lock that it holds: they must not wait for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: int | None = None

    @property
    def is_mine(self) -> bool:
        """Whether this thread holds it."""
        return self._holder == threading.get_ident()

    def acquire(self, seconds: float | None = None) -> bool:
        """Take it; wait at most ``seconds``, or for ever. Says whether it was had."""
        had = self._lock.acquire(timeout=-1 if seconds is None else seconds)
        if had:
            self._holder = threading.get_ident()
        return had

    def release(self) -> None:
        """Let it go."""
        self._holder = None
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


class Worker:
    """A daemon thread with a queue of jobs, which are done one after the other.

    Until `start`, and where no thread can be started any more (the process is ending), a job is done by the
    thread that hands it over.

    Args:
        name: the thread's.
        idle: called every so often between the jobs, however closely they follow.
        every: so many seconds; None for never.
    """

    def __init__(
        self, name: str, idle: Callable[[], object] | None = None, every: float | None = None
    ) -> None:
        self._idle, self._every = idle, every
        # Its methods may be interrupted by a signal handler that calls them as well.
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._stopping = False
        self._thread: threading.Thread | None = threading.Thread(
            target=self._work, name=name, daemon=True
        )

    def start(self) -> None:
        """Begin; ``idle`` may be called from now on, so whatever it uses must be there."""
        assert self._thread is not None
        try:
            self._thread.start()
        except RuntimeError:  # the process is ending, or may have no more threads
            self._thread = None

    @property
    def is_working(self) -> bool:
        """Whether another thread does what is handed over."""
        return self._thread is not None and self._thread.is_alive() and not self._stopping

    def submit(self, work: Callable[[], T]) -> Job[T]:
        """Hand a call over; by the worker itself it is made at once."""
        job = Job(work)
        if self.is_working and threading.current_thread() is not self._thread:
            self._jobs.put(job)
        else:
            job.run()
        return job

    def post(self, work: Callable[[], object]) -> bool:
        """Hand a call over that nobody waits for, by the worker itself as well; False where no worker will make it."""
        if not self.is_working:
            return False
        self._jobs.put(Job(work))
        return True

    def result(self, job: Job[T], seconds: float) -> T:
        """Return what a job that was handed over returns; wait about ``seconds`` for it.

        Time in which the worker would run, and other programs do, does not count: it waits for no disk then.

        Raises:
            Unfinished: it takes longer.
        """
        give_up = time.monotonic() + _LONGEST_STARVATION
        try:
            return job.wait(seconds)
        except Unfinished:
            starved = self._starved()
            while True:
                try:
                    return job.wait(_LOOK_SECONDS)
                except Unfinished:
                    before, starved = starved, self._starved()
                    if starved - before < _LEAST_STARVATION or time.monotonic() > give_up:
                        raise

    def _starved(self) -> float:
        """Return how many seconds the worker has waited for a processor so far; 0.0 where nobody counts them."""
        try:
            assert self._thread is not None
            counts = Path(f"/proc/self/task/{self._thread.native_id}/schedstat").read_text()
            return int(counts.split()[1]) / 1e9
        except (OSError, AssertionError, ValueError, IndexError):
            return 0.0

    def stop(self) -> None:
        """Let the thread end when what was handed over is done; does not wait for that."""
        self._stopping = True
        self._jobs.put(None)

    def join(self, seconds: float) -> None:
        """Wait for the end of a thread that was stopped."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, seconds))

    def forget(self) -> None:
        """After a fork: the thread is the parent's."""
        self._thread = None

    def _work(self) -> None:
        every = math.inf if self._every is None else self._every
        due = time.monotonic() + every
        while not (self._stopping and self._jobs.empty()):
            left = None if self._every is None else max(0.0, due - time.monotonic())
            try:
                job = self._jobs.get(timeout=left)
            except Empty:
                job = None
            if job is not None:
                job.run()
                # Neither the job nor what it has raised outlives it here.
                del job
                if time.monotonic() < due:
                    continue
            if self._idle is not None and not self._stopping:
                self._idle()
            due = time.monotonic() + every


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return what ``work`` returns, made by a thread of its own.

    Raises:
        Unfinished: it takes longer than ``seconds``; what it returns then is nobody's.
    """
    worker = Worker("tracker-call")
    worker.start()
    job = worker.submit(work)
    worker.stop()
    return job.wait(seconds)
