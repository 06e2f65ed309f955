"""Copies of a run's checkpoints in its remote folder, made in the background while it trains.

Nothing here raises into a training loop or holds it up: what could not be copied is told once, counted, and
named at the end with the command that does it.
"""

from __future__ import annotations

import logging
import os
import shlex
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

from tracker.checkpointing import registry, transfer
from tracker.checkpointing.registry import Checkpoint
from tracker.errors import counted
from tracker.files import SavedFile
from tracker.recording.writer import RecordedRun
from tracker.remote import RemotePath, remote_path
from tracker.states import CheckpointState, RunStatus
from tracker.storage.location import Location
from tracker.variables import REMOTE_WAIT
from tracker.worker import Job, Unfinished, Worker

WAIT_SECONDS = 60.0
"""How long the end of a run waits for its copies, unless the variable says otherwise."""
_QUIET_SECONDS = 1.0

log = logging.getLogger("tracker")


class Mirror:
    """Copies checkpoints one after the other; a newer one of the same path takes the place of one that waits.

    Args:
        run: whose checkpoints.
        url: the remote folder.
    """

    def __init__(self, run: RecordedRun, url: str) -> None:
        self._run, self._url = run, url
        self._folder: RemotePath | None = None
        # Appended to and taken from by two threads, without a lock that a signal handler could wait for.
        self._queue: deque[Checkpoint] = deque()
        self._newest: dict[Path, str] = {}
        self._failed: dict[Path, str] = {}
        self._last: Job[None] | None = None
        self._worker = Worker("tracker-upload")
        self._worker.start()

    def add(self, checkpoint: Checkpoint) -> None:
        """Have a complete checkpoint copied."""
        self._newest[checkpoint.path] = checkpoint.id
        self._queue.append(checkpoint)
        self._last = self._worker.submit(self._copy_next)

    def _copy_next(self) -> None:
        checkpoint = self._queue[0]
        try:
            if self._newest.get(checkpoint.path) == checkpoint.id:
                self._copy(checkpoint)
        finally:
            # Only now: until then the end of the run counts it as not copied.
            self._queue.popleft()

    def _copy(self, checkpoint: Checkpoint) -> None:
        location = self._run.writer.location
        if location is None:
            return
        try:
            self._make(location, checkpoint)
        except Exception as error:
            if registry.check(checkpoint) != CheckpointState.AVAILABLE:
                # Pruned, or replaced by one that comes next.
                return
            if not self._failed:
                log.warning(
                    "local-tracker: %s Training continues; the end of the run says what was not copied.", error
                )  # fmt: skip
            self._failed[checkpoint.path] = str(error)
        else:
            self._failed.pop(checkpoint.path, None)

    def _make(self, location: Location, checkpoint: Checkpoint) -> None:
        if self._folder is None:
            self._folder = remote_path(self._url)
        file = SavedFile(checkpoint.path, checkpoint.bytes, checkpoint.sha256)
        name = checkpoint.path.name
        transfer.make(location, self._folder, self._run.id, checkpoint.id, file, name)

    def finish(self) -> None:
        """Wait a while for what is queued, and say what was not copied; an interrupted run does not wait."""
        interrupted = self._run.status == RunStatus.INTERRUPTED
        try:
            if self._last is not None and not interrupted:
                self._wait(self._last, _seconds())
        finally:
            self._worker.stop()
            self._report()

    def _wait(self, job: Job[None], seconds: float) -> None:
        started = time.monotonic()
        try:
            job.wait(min(seconds, _QUIET_SECONDS))
        except Unfinished:
            if seconds <= _QUIET_SECONDS:
                return
            log.warning(
                "local-tracker: the run has ended; %s still being copied to %s (for %.0f seconds at most, %s).",
                counted(len(self._queue), "checkpoint is", "checkpoints are"), self._url, seconds, REMOTE_WAIT,
            )  # fmt: skip
            with suppress(Unfinished):
                job.wait(seconds - (time.monotonic() - started))

    def _report(self) -> None:
        waiting = [one for one in tuple(self._queue) if self._newest.get(one.path) == one.id]
        paths = {one.path for one in waiting} | self._failed.keys()
        if not paths:
            return
        location = self._run.writer.location
        # The URL of a server may hold a password.
        path = None if location is None else location.path
        database = "" if path is None else f" --database {shlex.quote(str(path))}"
        log.warning(
            "local-tracker: %s of run %s %s not in %s. To copy what is missing: tracker checkpoints upload %s %s%s",
            counted(len(paths), "checkpoint"), self._run.id, "is" if len(paths) == 1 else "are", self._url,
            self._run.id, shlex.quote(self._url), database,
        )  # fmt: skip


def _seconds() -> float:
    """Return how long to wait; what is not a number counts as not said."""
    try:
        return max(0.0, float(os.environ[REMOTE_WAIT]))
    except (KeyError, ValueError):
        return WAIT_SECONDS
