"""The writer of one attempt: recorded entries at once, step metrics once a second, a heartbeat, the spool.

Nothing here raises into a training: what the database cannot take goes to the spool and is applied
later, in order. With ``strict`` the error comes out instead.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection

from tracker import values
from tracker.clock import now
from tracker.errors import StoreError
from tracker.ids import new_id
from tracker.process import HEARTBEAT_SECONDS
from tracker.series.batch import Batch
from tracker.series.blocks import CallBlock, SeriesWriter
from tracker.series.buffer import Buffer
from tracker.storage import entries, journal
from tracker.storage.database import PATIENCE, Database, Questions
from tracker.storage.journal import Entry
from tracker.storage.location import Location
from tracker.storage.spool import Spool, set_aside, spool_path

FLUSH_SECONDS = 1.0
CALL_SECONDS = 2.0
"""No call takes longer, whatever disk or server do."""
_LAST_SECONDS, _CLOSE_SECONDS = 1.5, 0.4  # with CALL_SECONDS before them, those of `close`

log = logging.getLogger("tracker")


class Recorder:
    """Writes for one attempt of one run, from any thread of the process that made it."""

    recording = True

    def __init__(
        self,
        location: Location,
        run_id: str,
        attempt_id: str,
        attempt: int,
        *,
        next_step: int,
        strict: bool,
    ) -> None:
        self.location = location
        self.run_id = run_id
        self.attempt_id = attempt_id
        self.attempt = attempt
        self.strict = strict
        self.wake = threading.Event()
        self.buffer = Buffer(next_step=next_step, wake=self.wake.set)
        self.log = self.buffer.log
        self.spool = Spool(spool_path(location, attempt_id))
        self.spooled = 0
        self._database = Database(location)
        self._questions = Questions(location)
        self.query = self._questions.ask  # what waits in the spool is not in its answers
        self._series = SeriesWriter()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._failing = self._warned = self._given_up = False
        self._heard = time.monotonic()
        self._counts = self._counted()
        self._thread = self._started()

    def _started(self) -> threading.Thread | None:
        thread = threading.Thread(target=self._work, name="tracker-writer", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process is ending, or may have no more threads
            return None
        return thread

    def record(self, *entries: Entry) -> None:
        """Make entries durable: in the database, else in the spool."""
        if (
            self._failing
            and self._thread is not None
            and self._thread.is_alive()
            and not self.strict
        ):
            self._keep(entries, None)  # the writer thread tries again once a second
            return
        give_up = time.monotonic() + CALL_SECONDS
        if not self._lock.acquire(timeout=CALL_SECONDS):
            self._keep(entries, None)
            return
        try:
            entries = self._after_those_waiting(entries)
            self._commit(entries, give_up - time.monotonic())
        except Exception as error:
            self._failed(entries, error)
        finally:
            self._lock.release()

    def _after_those_waiting(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """Queue behind what waits: a kill while that is written must leave all of it, in order."""
        if self.spool.empty:
            return entries
        self.spool.append(entries)
        return ()

    def _failed(self, entries: tuple[Entry, ...], error: Exception) -> None:
        if self.strict:
            raise error
        if not isinstance(error, StoreError):
            log.warning("local-tracker could not write: %s: %s", type(error).__name__, error)
        self._keep(entries, error)

    def _keep(self, entries: tuple[Entry, ...], error: Exception | None) -> None:
        refused = self.spool.append(entries)
        self.spooled += len(entries)
        if not self._failing:
            where = f"in {self.spool.path} and is imported later"
            if refused:
                where = (
                    "in memory, and is lost if the process ends before there is room on the disk"
                )
            log.warning(
                "local-tracker: %s The training goes on; what is recorded waits %s.",
                error or "the database did not answer in time.",
                where,
            )
        self._failing = True

    def _commit(self, entries: tuple[Entry, ...] = (), patience: float = PATIENCE) -> None:
        if not self._failing or self._closing.is_set():
            self._series.add(self._drained())  # else they wait in the buffer, which is bounded
        blocks = self._series.pending()
        beat, counts = self._heartbeat()
        if not (entries or blocks or beat or not self.spool.empty):
            return
        new = [*entries, *self._streamed(blocks), *beat]
        try:
            with self._database.transaction(min(patience, PATIENCE)) as connection:
                waiting = [] if self.spool.empty else self.spool.read()
                journal.apply(connection, [*waiting, *new])
        except Exception as error:
            if self.strict or not journal.is_refusal(error):
                raise
            waiting = self._commit_each(new)
        self._series.saved()
        if waiting:
            self.spool.clear(len(waiting))
        if beat:
            self._heard, self._counts = time.monotonic(), counts
        self._failing = False

    def _drained(self) -> list[Batch]:
        batches = self.buffer.drain()
        if self.buffer.warning is not None and not self._warned:
            self._warned = True
            log.warning(
                "local-tracker: %s The training goes on; tracker runs show counts such values.",
                self.buffer.warning,
            )
        return batches

    def _commit_each(self, new: list[Entry]) -> list[Entry]:
        """Write all but what the database refuses, which must not hold up the rest for ever."""
        with self._database.transaction() as connection:
            waiting = self.spool.read()
            refused = journal.apply_each(connection, [*waiting, *new])
        if refused:
            kept = set_aside(self.spool.path, [entry for entry, _ in refused])
            log.warning(
                "local-tracker: the database refused %d of the records: %s They are kept in %s.",
                len(refused), refused[0][1], kept,
            )  # fmt: skip
        return waiting

    def _streamed(self, blocks: list[CallBlock]) -> list[Entry]:
        return [entries.series(self.run_id, self.attempt, block) for block in blocks]

    def _counted(self) -> dict[str, float]:
        lost = self.buffer.dropped + self.buffer.bad
        return {"spooled": self.spooled, "dropped": lost, "waited": self.buffer.waited}

    def _heartbeat(self) -> tuple[list[Entry], dict[str, float]]:
        counts = self._counted()
        if counts == self._counts and time.monotonic() - self._heard < HEARTBEAT_SECONDS:
            return [], counts
        change = {"heartbeat": now(), **counts}
        return [{"kind": "attempt", "id": self.attempt_id, "values": change}], counts

    def _work(self) -> None:
        while not self._closing.is_set():
            self.wake.wait(FLUSH_SECONDS)
            self.wake.clear()
            self.flush()
        if self._given_up:  # by `close`, while this thread hung in a commit
            self.flush()

    def flush(self) -> None:
        """Write what waits; on failure it keeps waiting."""
        with self._lock:
            try:
                self._commit()
            except Exception as error:
                if not self._failing:
                    log.warning("local-tracker: %s What is recorded waits.", error)
                self._failing = True

    def amend(self, change: Callable[[Connection], object]) -> None:
        """Change rows in a transaction of its own; where that cannot be, it is left undone and said."""
        if not self._lock.acquire(timeout=CALL_SECONDS):
            return
        try:
            with self._database.transaction() as connection:
                change(connection)
        except Exception as error:
            if self.strict:
                raise
            log.warning("local-tracker: %s", error)
        finally:
            self._lock.release()

    def stored_path(self, path: str | os.PathLike[str]) -> str:
        """Return a path as the database keeps it: relative to the project folder when below it."""
        return values.clean_text(self.location.relative(Path(path)))

    def next_attempt(self, number: int) -> None:
        """Begin another attempt in this process; what was streamed so far belongs to the one before."""
        self.flush()
        with self._lock:
            self._series.add(self._drained())
            left = self._streamed(self._series.pending())
            earlier, self.attempt_id = self.attempt_id, new_id()
            self.attempt = number
            self._series = SeriesWriter()
        self.record(*left, entries.follow(self.run_id, earlier, self.attempt_id, number))

    def close(self, *entries: Entry) -> None:
        """Write the last entries and end the thread; at most about 4 seconds."""
        try:
            self._close(entries)
        finally:
            if self.spool.unwritten:
                log.error(
                    "local-tracker: %d records of the run could be written nowhere, and end with this "
                    "process: the disk had no room for them until the run ended.",
                    len(self.spool.unwritten),
                )

    def _close(self, entries: tuple[Entry, ...]) -> None:
        self._closing.set()
        self.wake.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(CALL_SECONDS)
        self._counts = {}  # a last heartbeat is due
        if not self._lock.acquire(timeout=_LAST_SECONDS):
            self._give_up(entries)
            return
        try:
            entries = self._after_those_waiting(entries)
            self._commit(entries)
        except Exception as error:
            blocks = tuple(self._streamed(self._series.pending()))
            self._failed((*blocks, *entries), error)
        finally:
            self._questions.close()
            self._database.close(_CLOSE_SECONDS)
            self._lock.release()

    def _give_up(self, entries: tuple[Entry, ...]) -> None:
        """End while the writer hangs in a commit: its blocks cannot be had, what is recorded waits."""
        self._given_up = True
        lost = sum(batch.points for batch in self.buffer.drain())
        self.buffer.dropped += lost
        if lost:
            log.warning(
                "local-tracker: %d step metrics were not recorded: the disk did not answer.", lost
            )
        self._keep((*self._heartbeat()[0], *entries), None)

    def forget(self) -> None:
        """After a fork: everything here belongs to the parent."""
        self._database.forget()
        self._questions.forget()
        self.buffer.forget()
        self._lock = threading.Lock()
        self._thread = None
