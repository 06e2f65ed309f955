"""The writer of one attempt: recorded entries at once, step metrics once a second, a heartbeat, the spool.

Nothing here raises into a training loop: what the database cannot take goes to the spool and is applied
later, in order. With ``strict`` the error comes out instead. And nothing here holds a training loop up:
what waits for a disk or a server is done by a worker, and a call that has waited long enough continues
without it. What is recorded is then in the spool, or, where the disk hangs as well, in memory, and the log
says so.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
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
from tracker.recording.writer import CALL_SECONDS, LogCall
from tracker.storage import entries, journal, run_rows
from tracker.storage.database import Database, Questions, Reader
from tracker.storage.entries import AttemptEntry, Entry, OriginEntry, SeriesEntry
from tracker.storage.location import Location
from tracker.storage.room import Room
from tracker.storage.spool import Spool, set_aside, spool_path
from tracker.worker import Job, OwnLock, Unfinished, Worker

FLUSH_SECONDS = 1.0
EXIT_SECONDS = 5.0
"""The end of a run takes no longer, either."""
_LOCK_SECONDS, _COMMIT_SECONDS, _SPOOL_SECONDS = 0.8, 1.0, 0.1
"""The worker waits for others' locks, a call for the worker, and then for the spool."""
_RETRY_SECONDS, _BRIEF_SECONDS = 1.0, 0.1
"""For so long after a wait without an answer, others are brief: one call may record and ask several times."""
_LAST_SECONDS = EXIT_SECONDS - 1.2
"""The end waits for the worker; the rest is for the spool, the threads and questions that are still asked."""
_BEGIN_SECONDS = 0.1
"""Another attempt waits for the lock of the step metrics."""
_CLOSE_SECONDS = 0.4
"""The last commit waits for others before it closes the database."""
_LARGE_COMMIT = 4 << 20
"""Bytes of packed step metrics that are committed before the second is over."""

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


class _Kept(Enum):
    """Where what is recorded is when a call returns."""

    DATABASE = 0
    WAITING = 1
    """Step metrics wait for the database; nothing has been recorded since it failed."""
    SPOOL = 2
    MEMORY = 3


class _Handed:
    """Entries on their way to the database."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self.give_up = time.monotonic() + _LOCK_SECONDS
        self.error: Exception | None = None


def _waits(metrics: StreamedMetrics) -> bool:
    buffer = metrics.buffer
    return bool(buffer.calls or buffer.packed or buffer.held or metrics.unsaved)


def _busy() -> DatabaseBusy:
    return DatabaseBusy("The database did not answer in time.")


class Recorder:
    """Writes for one attempt of one run, from any thread of the process that made it.

    ``database`` is its own from now on; ``origin`` returns the entry that makes the run and an attempt (id, number)
    in a database without them, ``sampled`` measures the machine.
    """

    recording = True

    def __init__(
        self,
        database: Database,
        run_id: str,
        attempt_id: str,
        attempt: int,
        *,
        next_step: int,
        strict: bool,
        origin: Callable[[str, int], OriginEntry],
        sampled: SampledMetrics,
    ) -> None:
        self.location = location = database.location
        self.run_id = run_id
        self.attempt_id = attempt_id
        self._attempt = attempt
        self._origin = origin
        self._file = location.file_id()
        self.strict = strict
        self._worker = Worker("tracker-writer", self._idle, FLUSH_SECONDS)
        self._streamed = StreamedMetrics(run_id, attempt, next_step=next_step, wake=self._wake)
        self.log: LogCall = self._streamed.log
        self.sampled = sampled
        path = spool_path(location, attempt_id)
        self._room = Room(location.data_folder())
        self.spool = Spool(path, self._own_origin, self._room)
        self.spooled = 0
        self._spooler: Worker | None = None
        self._slow_spool: Job[Any] | None = None
        self._database = database
        self._questions = Questions(location)
        self._lock = OwnLock()
        self._queued: deque[_Handed] = deque()
        self._in_hand: list[_Handed] = []
        self._closing = threading.Event()
        self._finishing: Job[None] | None = None
        self._given_up = False
        self._kept = _Kept.DATABASE
        self._heard = time.monotonic()
        self._in_vain = -math.inf
        self._kept_refused: Path | None = None
        self._earlier_counts = _Counts()
        self._told: tuple[float, ...] = _Counts()
        self._worker.start()  # last: its thread may idle before this one goes on

    def _own_origin(self) -> OriginEntry:
        return self._origin(self.attempt_id, self._attempt)

    @property
    def _failing(self) -> bool:
        return self._kept is not _Kept.DATABASE

    def record(self, *entries: Entry) -> None:
        """Make entries durable: in the database, else in the spool.

        What runs within a commit (a finalizer, a handler of our log messages) cannot wait for it: its entries are
        next.
        """
        if self._lock.is_mine:
            self._record_next(_Handed(entries))
            return
        if self._failing and self._worker.is_working and not self.strict:
            self._keep(entries, None)  # the worker tries the database again once a second
            return
        handed = _Handed(entries)
        self._queued.append(handed)
        try:
            job = self._worker.submit(self._write_queued)
            self._waited(job)
        except Unfinished:
            self._overtake(handed)
        if handed.error is not None:
            raise handed.error

    def _record_next(self, handed: _Handed) -> None:
        self._queued.append(handed)
        if not self._worker.post(self._write_queued):
            self._overtake(handed)

    def _waited(self, job: Job[None]) -> None:
        """Wait for a job of the worker; `Unfinished` when it takes too long."""
        began = time.monotonic()
        try:
            self._worker.result(job, _BRIEF_SECONDS if self._has_just_waited else _COMMIT_SECONDS)
        except Unfinished:
            self._in_vain = time.monotonic()
            raise
        if self._failing:
            self._note_wait(began)

    def _note_wait(self, began: float) -> None:
        """Remember that the database has not answered, if that took a while."""
        if time.monotonic() - began > _BRIEF_SECONDS:
            self._in_vain = time.monotonic()

    @property
    def _has_just_waited(self) -> bool:
        """Whether the database has not answered a moment ago, perhaps within the same call."""
        return time.monotonic() - self._in_vain < _RETRY_SECONDS

    def _overtake(self, handed: _Handed) -> None:
        """Go on while the worker hangs in a commit: what it may never finish is spooled as well."""
        with suppress(ValueError):
            self._queued.remove(handed)
        if self.strict:
            raise _busy()
        self._keep(handed.entries, _busy())

    def _write_queued(self) -> None:
        """Write everything that was handed over, in one transaction.

        Raises:
            Unfinished: another thread hangs in a commit; only where there is no worker.
        """
        if not self._lock.acquire(None if self._worker.is_working else CALL_SECONDS):
            raise Unfinished
        try:
            while self._queued:
                self._in_hand.append(self._queued.popleft())
            if self._in_hand:
                self._write(tuple(one for handed in self._in_hand for one in handed.entries))
        finally:
            self._in_hand.clear()
            self._lock.release()

    def _write(self, entries: tuple[Entry, ...]) -> None:
        last = max(handed.give_up for handed in self._in_hand)
        try:
            entries = self._after_pending(entries)
            self._commit(entries, last - time.monotonic())
        except Exception as error:
            if self.strict:
                for handed in self._in_hand:
                    handed.error = error
                return
            if not isinstance(error, StoreError):
                log.warning("local-tracker could not write: %s: %s", type(error).__name__, error)
            streamed = self._pending_blocks() if self._closing.is_set() else []
            self._keep((*streamed, *entries), error, here=True)

    def _after_pending(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """Queue behind pending entries: a kill while these are written must leave all of them, in order."""
        if not self._has_pending():
            return entries
        self.spool.append(entries)
        return ()

    def _keep(
        self, entries: tuple[Entry, ...], error: Exception | None, *, here: bool = False
    ) -> None:
        """Put entries into the spool; ``here``: by this thread, which others do not wait for."""
        self.spooled += len(entries)
        self.spool.hold(entries)
        refusal = self.spool.write() if here else self._spooled_in_time()
        self._tell(_Kept.SPOOL if refusal is None else _Kept.MEMORY, error, refusal)

    def _spooled_in_time(self) -> Exception | None:
        """Have what is held brought to the disk; returns the error if it refuses, or takes too long."""
        if self._spooler is None:
            self._spooler = Worker("tracker-spooler")
            self._spooler.start()
        # One that hangs is waited for once.
        seconds = _SPOOL_SECONDS if self._slow_spool is None or self._slow_spool.done else 0.0
        job = self._spooler.submit(self.spool.write)
        try:
            return job.wait(seconds) if seconds == 0.0 else self._spooler.result(job, seconds)
        except Unfinished:
            self._slow_spool = job
            return TimeoutError("the disk did not answer in time")

    def _tell(self, kept: _Kept, error: Exception | None, refusal: Exception | None = None) -> None:
        """Log where what is recorded is kept from now on; each change of it once."""
        before, self._kept = self._kept, kept
        if kept is before:
            return
        why = error or _busy()
        if kept is _Kept.DATABASE:
            self._in_vain = -math.inf
            if before is not _Kept.WAITING:
                log.warning(
                    "local-tracker: the database takes records again; what waited is in it."
                )
        elif kept is _Kept.WAITING:
            log.warning("local-tracker: %s What is recorded waits.", why)
        elif kept is _Kept.MEMORY:
            first = f"{why} Training continues; " if before is not _Kept.SPOOL else ""
            log.warning(
                "local-tracker: %sthe spool cannot be written either (%s): what is recorded waits in memory, "
                "and is lost if the process ends before there is room on the disk (%d records now).",
                first, refusal, len(self.spool.unwritten),
            )  # fmt: skip
        elif before is _Kept.MEMORY:
            log.warning(
                "local-tracker: what waited in memory is on the disk, in %s; it is imported later.",
                self.spool.path,
            )
        else:
            log.warning(
                "local-tracker: %s Training continues; what is recorded waits in %s and is imported later.",
                why, self.spool.path,
            )  # fmt: skip

    def _commit(self, entries: tuple[Entry, ...] = (), patience: float = _LOCK_SECONDS) -> None:
        give_up = time.monotonic() + patience
        blocks = self._blocks() if self._has_streamed() else []
        total = self._total()
        beat = self._heartbeat(total)
        if not (entries or blocks or beat or self._has_pending()):
            return
        new = [*entries, *blocks, *beat]
        try:
            with self._database.transaction(max(0.1, patience)) as connection:
                pending = self.spool.read() if self._has_pending() else []
                journal.apply(connection, [*pending, *new])
        except Exception as error:
            if self.strict or not journal.is_refusal(error):
                raise
            pending = self._commit_each(new, give_up - time.monotonic())
        if blocks:
            self._streamed.saved()
            self.sampled.saved()
        if pending:
            self.spool.clear(len(pending))
        if beat:
            self._heard, self._told = time.monotonic(), total
        self._tell(_Kept.DATABASE, None)

    def _has_pending(self) -> bool:
        """Say whether the spool has entries; by attributes alone, as most commits find none."""
        return bool(self.spool.on_disk or self.spool.unwritten)

    def _has_streamed(self) -> bool:
        """Say whether there are step metrics to write; by attributes alone, for an epoch without any."""
        return _waits(self._streamed) or _waits(self.sampled)

    def _blocks(self) -> list[SeriesEntry]:
        """Return the step metrics that are not in the database yet."""
        if not self._failing or self._closing.is_set():
            self._streamed.take()
            self.sampled.take()
        return self._pending_blocks()

    def _pending_blocks(self) -> list[SeriesEntry]:
        """Return what has been taken, and is not in the database yet."""
        return [*self._streamed.pending(), *self.sampled.pending()]

    def _commit_each(self, new: list[Entry], patience: float) -> list[Entry]:
        """Write all but what the database refuses, which must not hold up the rest for ever.

        Another file in the database's place (an older backup, or one that was made anew) may not have the
        run: there it is made again. One that somebody deleted from the same file stays deleted.
        """
        with self._database.transaction(max(0.1, patience)) as connection:
            pending = self.spool.read()
            known = self.location.file_id() == self._file
            first = [] if known else [self._own_origin()]
            refused = journal.apply_each(connection, [*first, *pending, *new])
        if refused:
            self._set_aside(refused)
        return pending

    def _set_aside(self, refused: list[tuple[Entry, Exception]]) -> None:
        """Keep what the database refuses; where no file of its own can be written, behind what is pending."""
        left = [entry for entry, _ in refused if "live" not in entry]
        if not left:
            return
        try:
            kept = set_aside(self.spool.path, left, self._own_origin())
        except OSError:
            self.spool.append(left)
            kept = self.spool.path
            if kept == self._kept_refused:
                return
        self._kept_refused = kept
        log.warning(
            "local-tracker: the database refused %d of the records: %s They are kept in %s.",
            len(refused), refused[0][1], kept,
        )  # fmt: skip

    def _total(self) -> tuple[int, int, float]:
        """Return what all attempts of this process have cost so far, as `_Counts`; plain, as each epoch asks."""
        buffer = self._streamed.buffer
        return self.spooled, buffer.dropped + buffer.bad, buffer.waited

    def _counted(self) -> _Counts:
        """Return what the current attempt has cost so far."""
        return _Counts(*self._total()).since(self._earlier_counts)

    def _heartbeat(self, total: tuple[float, ...]) -> list[AttemptEntry]:
        if total == self._told and time.monotonic() - self._heard < HEARTBEAT_SECONDS:
            return []
        counts = self._counted()._asdict()
        return [entries.heartbeat(self.attempt_id, heartbeat=now(), **counts)]

    def _last_beat(self) -> AttemptEntry:
        return entries.attempt(self.attempt_id, heartbeat=now(), **self._counted()._asdict())

    def _idle(self) -> None:
        self.sampled.look()
        self._flush()

    def _wake(self) -> None:
        """Have step metrics taken soon; only signals."""
        self._worker.post(self._relieve)

    def _relieve(self) -> None:
        """Take step metrics, for the next commit; commit where that would be large."""
        with self._lock:
            if self._failing:
                return
            self._streamed.take()
            size = self._streamed.pack()
        if size >= _LARGE_COMMIT:
            self._flush()

    def flush(self, seconds: float | None = None) -> None:
        """Write what is pending; on failure, or where it takes longer than so many seconds, it stays so."""
        if not self._lock.is_mine:
            with suppress(Unfinished):
                self._worker.submit(self._flush).wait(seconds)

    def _flush(self) -> None:
        with self._lock:
            try:
                self._commit()
            except Exception as error:
                if not self._failing:
                    self._tell(_Kept.WAITING, error)
                elif self.spool.unwritten and self.spool.write() is None:
                    self._tell(_Kept.SPOOL, error)

    def query(self, ask: Callable[[Reader], T], otherwise: T) -> T:
        """Return what ``ask`` finds in what is committed; pending entries are not part of it.

        Raises:
            StoreError: when the database does not answer.
        """
        return self._asked(lambda connection: ask(Reader(self.location, connection)))

    def rows(self, statement: Select[Any]) -> list[Any]:
        """Return the rows that a statement selects; `StoreError` when the database does not answer."""
        return self._asked(lambda connection: list(connection.execute(statement)))

    def _asked(self, ask: Callable[[Connection], T]) -> T:
        """Ask; whatever is raised on the way, by drivers too, is the database not answering."""
        # SQLite answers while others write.
        if self.location.path is None and self._has_just_waited:
            raise _busy()
        began = time.monotonic()
        try:
            return self._questions.ask(ask)
        except StoreError:
            self._note_wait(began)
            raise
        except Exception as error:
            raise StoreError(
                f"The database {self.location} could not be read: {type(error).__name__}: {error}."
            ) from error

    def amend(self, change: Callable[[Connection, Location], object]) -> None:
        """Change rows in a transaction of its own; one that fails is logged, and raised if `strict`."""

        def work() -> None:
            with self._lock, self._database.transaction(_LOCK_SECONDS) as connection:
                change(connection, self.location)

        if self._lock.is_mine and self._worker.post(lambda: self.amend(change)):
            return
        try:
            try:
                self._waited(self._worker.submit(work))
            except Unfinished:
                raise _busy() from None
        except Exception as error:
            if self.strict:
                raise
            log.warning("local-tracker: %s", error)

    def stored_path(self, path: str | os.PathLike[str]) -> str:
        """Return a path as the database keeps it: relative to the project folder when below it."""
        return values.clean_text(self.location.relative(Path(path)))

    def next_attempt(self, number: int) -> None:
        """Begin another attempt in this process; what was streamed so far belongs to the one before."""
        self._streamed.begin(number, _BEGIN_SECONDS)
        self.sampled.begin(number, _BEGIN_SECONDS)
        last_beat = self._last_beat()
        self._earlier_counts = _Counts(*self._total())
        earlier, self.attempt_id, self._attempt = self.attempt_id, new_id(), number
        self.record(last_beat, entries.follow(self.run_id, earlier, self.attempt_id, number))

    def close(self, *entries: Entry) -> None:
        """Write the last entries and end the threads; at most `EXIT_SECONDS`."""
        handed = _Handed(entries)
        if self._lock.is_mine and self._worker.post(lambda: self.close(*entries)):
            return
        try:
            if self._finishing is None:
                self._closing.set()
                # A last heartbeat is due.
                self._heard = -math.inf
                self._queued.append(handed)
                self._finishing = self._worker.submit(self._finish)
            self._worker.result(self._finishing, _LAST_SECONDS)
            self._worker.stop()
            self._worker.join(_SPOOL_SECONDS)
        except Unfinished:
            self._given_up = True
            self._give_up()
        finally:
            self._worker.stop()
            if self._spooler is not None:
                self._spooler.stop()
            self._questions.close()
            self._room.close()
            self._tell_what_is_left()
        if handed.error is not None:
            raise handed.error

    def _finish(self) -> None:
        if self._closing.is_set():
            self.sampled.end()
        self._write_queued()
        if self._given_up:
            self._flush()  # what `close` has spooled meanwhile
        with self._lock:
            self._database.close(_CLOSE_SECONDS)

    def _tell_what_is_left(self) -> None:
        if self.spool.unwritten:
            log.error(
                "local-tracker: %d records of the run could be written nowhere, and end with this "
                "process: the disk had no room for them until the run ended.",
                len(self.spool.unwritten),
            )
        elif self._has_pending():
            log.warning(
                "local-tracker: %d records of the run wait in %s: the next run in this database imports "
                "them, or tracker db doctor --fix.",
                self.spool.count, self.spool.path,
            )  # fmt: skip

    def _give_up(self) -> None:
        """End while the worker hangs in a commit: its blocks cannot be had, what is recorded is spooled."""
        lost = self._streamed.abandon()
        if lost:
            log.warning(
                "local-tracker: %d step metrics were not recorded: the disk did not answer.", lost
            )
        left = [*self._in_hand]
        while self._queued:
            left.append(self._queued.popleft())
        recorded = [one for handed in left for one in handed.entries]
        self._keep((self._last_beat(), *recorded), _busy())

    def discard(self) -> bool:
        """Delete the run, and end, where nothing of a training was recorded; say whether it was so."""
        if self._lock.is_mine:
            return False
        try:
            self._worker.submit(self._flush).wait(CALL_SECONDS)
        except Unfinished:
            return False
        if self._attempt > 1 or self._failing or self._has_pending():
            return False
        deleted: list[str] = []

        def delete(connection: Connection, location: Location) -> None:
            if run_rows.is_empty(connection, self.run_id):
                deleted.extend(run_rows.delete(connection, self.run_id))

        self.amend(delete)
        if not deleted:
            return False
        self._worker.submit(self._finish).wait(CALL_SECONDS)
        self._worker.stop()
        self._questions.close()
        self._room.close()
        return True

    def forget(self) -> None:
        """After a fork: everything here belongs to the parent."""
        self._database.forget()
        self._questions.forget()
        self._streamed.forget()
        self.sampled.forget()
        self._lock = OwnLock()
        self._worker.forget()
        self._spooler = None
        self._room.close()
