"""The writer of one attempt: recorded entries at once, step metrics once a second, a heartbeat, the spool.

Nothing here raises into a training loop: what the database cannot take goes to the spool and is applied
later, in order. With ``strict`` the error comes out instead.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Select

from tracker import values
from tracker.clock import now
from tracker.errors import DatabaseBusy, StoreError
from tracker.ids import new_id
from tracker.process import HEARTBEAT_SECONDS
from tracker.recording.sampled import SampledMetrics
from tracker.recording.streamed import StreamedMetrics
from tracker.recording.writer import LogCall
from tracker.storage import entries, journal, run_rows
from tracker.storage.database import PATIENCE, Database, Questions, Reader
from tracker.storage.entries import AttemptEntry, Entry, OriginEntry, SeriesEntry
from tracker.storage.location import Location
from tracker.storage.spool import Spool, set_aside, spool_path

FLUSH_SECONDS = 1.0
CALL_SECONDS = 2.0
"""No call takes longer, whatever disk or server do."""
_LAST_SECONDS, _CLOSE_SECONDS = 1.5, 0.4  # with CALL_SECONDS before them, those of `close`

log = logging.getLogger("tracker")

T = TypeVar("T")


class _Counts(NamedTuple):
    """What an attempt has cost: records that were spooled, values that were dropped, seconds that `log` waited."""

    spooled: int = 0
    dropped: int = 0
    waited: float = 0.0

    def since(self, earlier: _Counts) -> _Counts:
        return _Counts(
            self.spooled - earlier.spooled,
            self.dropped - earlier.dropped,
            self.waited - earlier.waited,
        )

    def plus(self, other: _Counts) -> _Counts:
        return _Counts(
            self.spooled + other.spooled,
            self.dropped + other.dropped,
            self.waited + other.waited,
        )


def _busy() -> DatabaseBusy:
    return DatabaseBusy("The database did not answer in time.")


class Recorder:
    """Writes for one attempt of one run, from any thread of the process that made it.

    ``origin`` returns the entry that makes the run and an attempt (id, number) in a database without them,
    ``sampled`` measures the machine.
    """

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
        origin: Callable[[str, int], OriginEntry],
        sampled: SampledMetrics,
    ) -> None:
        self.location = location
        self.run_id = run_id
        self.attempt_id = attempt_id
        self._attempt = attempt
        self._origin = origin
        self._file = location.file_id()
        self.strict = strict
        self.wake = threading.Event()
        self._streamed = StreamedMetrics(run_id, attempt, next_step=next_step, wake=self.wake.set)
        self.log: LogCall = self._streamed.log
        self.sampled = sampled
        self.spool = Spool(spool_path(location, attempt_id), self._own_origin)
        self.spooled = 0
        self._database = Database(location)
        self._questions = Questions(location)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._failing = self._given_up = False
        self._heard = time.monotonic()
        self._earlier_counts = _Counts()
        self._counts = _Counts()
        self._thread = self._started()

    def _own_origin(self) -> OriginEntry:
        return self._origin(self.attempt_id, self._attempt)

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
            self._failed(entries, _busy())
            return
        try:
            entries = self._after_pending(entries)
            self._commit(entries, give_up - time.monotonic())
        except Exception as error:
            self._failed(entries, error)
        finally:
            self._lock.release()

    def _after_pending(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """Queue behind pending entries: a kill while these are written must leave all of them, in order."""
        if not self.spool.count:
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
                "local-tracker: %s Training continues; what is recorded waits %s.",
                error or _busy(),
                where,
            )
        self._failing = True

    def _commit(self, entries: tuple[Entry, ...] = (), patience: float = PATIENCE) -> None:
        blocks = self._blocks() if self._has_streamed() else []
        counts = self._counted()
        beat = self._heartbeat(counts)
        if not (entries or blocks or beat or self.spool.count):
            return
        new = [*entries, *blocks, *beat]
        try:
            with self._database.transaction(min(patience, PATIENCE)) as connection:
                pending = self.spool.read() if self.spool.count else []
                journal.apply(connection, [*pending, *new])
        except Exception as error:
            if self.strict or not journal.is_refusal(error):
                raise
            pending = self._commit_each(new)
        if blocks:
            self._streamed.saved()
            self.sampled.saved()
        if pending:
            self.spool.clear(len(pending))
        if beat:
            self._heard, self._counts = time.monotonic(), counts
        self._failing = False

    def _has_streamed(self) -> bool:
        """Say whether there are step metrics to write; by attributes alone, for an epoch without any."""
        return self._streamed.has_any or self.sampled.has_any

    def _blocks(self) -> list[SeriesEntry]:
        """Return the step metrics that are not in the database yet."""
        if not self._failing or self._closing.is_set():
            self._streamed.take()
            self.sampled.take()
        return self._pending_blocks()

    def _pending_blocks(self) -> list[SeriesEntry]:
        """Return what has been taken, and is not in the database yet."""
        return [*self._streamed.pending(), *self.sampled.pending()]

    def _commit_each(self, new: list[Entry]) -> list[Entry]:
        """Write all but what the database refuses, which must not hold up the rest for ever.

        Another file in the database's place (an older backup, or one that was made anew) may not have the
        run: there it is made again. One that somebody deleted from the same file stays deleted.
        """
        with self._database.transaction() as connection:
            pending = self.spool.read()
            known = self.location.file_id() == self._file
            first = [] if known else [self._own_origin()]
            refused = journal.apply_each(connection, [*first, *pending, *new])
        if refused:
            kept = set_aside(self.spool.path, [entry for entry, _ in refused])
            log.warning(
                "local-tracker: the database refused %d of the records: %s They are kept in %s.",
                len(refused), refused[0][1], kept,
            )  # fmt: skip
        return pending

    def _counted(self) -> _Counts:
        """Return what the current attempt has cost so far."""
        buffer = self._streamed.buffer
        total = _Counts(self.spooled, buffer.dropped + buffer.bad, buffer.waited)
        return total.since(self._earlier_counts)

    def _heartbeat(self, counts: _Counts) -> list[AttemptEntry]:
        if counts == self._counts and time.monotonic() - self._heard < HEARTBEAT_SECONDS:
            return []
        return [self._beat(counts)]

    def _beat(self, counts: _Counts) -> AttemptEntry:
        return entries.attempt(self.attempt_id, heartbeat=now(), **counts._asdict())

    def _work(self) -> None:
        while not self._closing.is_set():
            self.wake.wait(FLUSH_SECONDS)
            self.wake.clear()
            self.sampled.look()
            self.flush()
        if self._given_up:  # by `close`, while this thread hung in a commit
            self.flush()

    def flush(self) -> None:
        """Write what is pending; on failure it stays so."""
        with self._lock:
            try:
                self._commit()
            except Exception as error:
                if not self._failing:
                    log.warning("local-tracker: %s What is recorded waits.", error)
                self._failing = True

    def query(self, ask: Callable[[Reader], T], otherwise: T) -> T:
        """Return what ``ask`` finds in what is committed; pending entries are not part of it.

        Raises:
            StoreError: when the database does not answer.
        """
        return self._questions.ask(lambda connection: ask(Reader(self.location, connection)))

    def rows(self, statement: Select[Any]) -> list[Any]:
        """Return the rows that a statement selects; `StoreError` when the database does not answer."""
        return self._questions.rows(statement)

    def amend(self, change: Callable[[Connection, Location], object]) -> None:
        """Change rows in a transaction of its own; one that fails is logged, and raised if `strict`."""
        try:
            if not self._lock.acquire(timeout=CALL_SECONDS):
                raise _busy()
            try:
                with self._database.transaction() as connection:
                    change(connection, self.location)
            finally:
                self._lock.release()
        except Exception as error:
            if self.strict:
                raise
            log.warning("local-tracker: %s", error)

    def stored_path(self, path: str | os.PathLike[str]) -> str:
        """Return a path as the database keeps it: relative to the project folder when below it."""
        return values.clean_text(self.location.relative(Path(path)))

    def next_attempt(self, number: int) -> None:
        """Begin another attempt in this process; what was streamed so far belongs to the one before."""
        self._streamed.begin(number, CALL_SECONDS)
        self.sampled.begin(number, CALL_SECONDS)
        counts = self._counted()
        last_beat = self._beat(counts)
        self._earlier_counts = counts.plus(self._earlier_counts)
        earlier, self.attempt_id, self._attempt = self.attempt_id, new_id(), number
        self.record(last_beat, entries.follow(self.run_id, earlier, self.attempt_id, number))

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

    def _end_thread(self) -> bool:
        """End the writer's thread; says whether it has ended."""
        self._closing.set()
        self.wake.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(CALL_SECONDS)
        return thread is None or not thread.is_alive()

    def _close(self, entries: tuple[Entry, ...]) -> None:
        if self._end_thread():
            self.sampled.end()
        # A last heartbeat is due.
        self._heard = -math.inf
        if not self._lock.acquire(timeout=_LAST_SECONDS):
            self._give_up(entries)
            return
        try:
            entries = self._after_pending(entries)
            self._commit(entries)
        except Exception as error:
            self._failed((*self._pending_blocks(), *entries), error)
        finally:
            self._questions.close()
            self._database.close(_CLOSE_SECONDS)
            self._lock.release()

    def _give_up(self, entries: tuple[Entry, ...]) -> None:
        """End while the writer hangs in a commit: its blocks cannot be had, what is recorded is spooled."""
        self._given_up = True
        lost = self._streamed.abandon()
        if lost:
            log.warning(
                "local-tracker: %d step metrics were not recorded: the disk did not answer.", lost
            )
        self._keep((self._beat(self._counted()), *entries), _busy())

    def discard(self) -> bool:
        """Delete the run, and end, where nothing of a training was recorded; say whether it was so."""
        self.flush()
        if self._attempt > 1 or self._failing or self.spool.count:
            return False
        deleted: list[str] = []

        def delete(connection: Connection, location: Location) -> None:
            if run_rows.is_empty(connection, self.run_id):
                deleted.extend(run_rows.delete(connection, self.run_id))

        self.amend(delete)
        if not deleted:
            return False
        self._end_thread()
        self._questions.close()
        self._database.close(_CLOSE_SECONDS)
        return True

    def forget(self) -> None:
        """After a fork: everything here belongs to the parent."""
        self._database.forget()
        self._questions.forget()
        self._streamed.forget()
        self.sampled.forget()
        self._lock = threading.Lock()
        self._thread = None
