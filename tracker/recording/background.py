"""Saving beside the training: one file at a time, in order, by a thread of its own.

What a save has raised comes out where somebody waits for it: at the next save, at the end of training, or,
where neither comes any more, in the log when the run ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context

from tracker.worker import Job, Unfinished, Worker


class BackgroundSaver:
    """Does what it is handed, one call at a time; made by `tracker.Run.background_saver`.

    `begin`, `wait` and `finish` are for one thread at a time, that of the training. A save that has begun
    holds what it was handed until it is done, and no longer.
    """

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._job: Job[None] | None = None
        self._thread: threading.Thread | None = None
        self._work: Callable[[], object] | None = None
        self._error: BaseException | None = None

    def begin(self, save: Callable[[], object]) -> None:
        """Finish what was begun before, then have ``save`` called by the thread, in the caller's context.

        Raises:
            BaseException: what the save before has raised; ``save`` is not called then.
        """
        self.finish()
        if self._worker is None:
            self._worker = Worker("tracker-saver")
            self._worker.start()
        self._work, context = save, copy_context()
        self._job = self._worker.submit(lambda: context.run(self._save))

    def _save(self) -> None:
        self._thread, (save, self._work) = threading.current_thread(), (self._work, None)
        assert save is not None
        try:
            save()
        except BaseException as error:
            self._error = error

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for what was begun, at most ``seconds``; say whether it is done. It raises nothing of the save's.

        The thread itself does not wait: what it is asked to wait for is what it is doing.
        """
        job = self._job
        if job is None or threading.current_thread() is self._thread:
            return job is None
        try:
            job.wait(seconds)
        except Unfinished:
            return False
        self._job = None
        return True

    def finish(self) -> None:
        """Wait for what was begun, and raise what it has raised, once."""
        self.wait()
        if (error := self.take_error()) is not None:
            raise error

    def take_error(self) -> BaseException | None:
        """Return what the last save has raised, and forget it; None where it is not done, or was well."""
        error, self._error = self._error, None
        return error

    def close(self) -> None:
        """Let the thread end once it has nothing to do; does not wait for that."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        self._job = None

    def forget(self) -> None:
        """After a fork: what is being saved is the parent's."""
        self._worker = self._job = self._work = self._error = None


class BackgroundSavers:
    """The threads that save beside the training of one run."""

    def __init__(self) -> None:
        self._savers: list[BackgroundSaver] = []

    def add(self) -> BackgroundSaver:
        """Return one more."""
        saver = BackgroundSaver()
        self._savers.append(saver)
        return saver

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for what each has begun, at most ``seconds`` in all; say whether that is done."""
        give_up = None if seconds is None else time.monotonic() + seconds
        # Each of them, also where one is not done.
        done = [
            saver.wait(None if give_up is None else max(0.0, give_up - time.monotonic()))
            for saver in self._savers
        ]
        return all(done)

    def close(self) -> list[BaseException]:
        """Let the threads end; returns what they have raised and nobody has asked for."""
        savers, self._savers = self._savers, []
        errors = [error for saver in savers if (error := saver.take_error()) is not None]
        for saver in savers:
            saver.close()
        return errors

    def forget(self) -> None:
        """After a fork: what is being saved is the parent's."""
        for saver in self._savers:
            saver.forget()
