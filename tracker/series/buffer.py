"""Step metrics on their way to the writer.

`Buffer.log` appends ``(step, time, values)`` to a list and returns. `Buffer.drain` turns what has
been appended into `Batch`es (see `tracker.series.batch`): arrays, one for each name.

Memory is bounded. More than a few thousand calls that nobody drained are packed into arrays by the
caller itself (about 1 µs a call, once in thousands of calls). Once ``limit`` numbers are packed, a
call waits up to ``patience`` seconds for a drain. If none comes, the newest calls are dropped whole
and counted, until the next drain. With the default limit that is at most 8 MiB of packed numbers
beside at most 2048 calls, twice that while a drain hands over.

Signals may come at any time, between any two calls in here. A handler may log: where it has interrupted
a thread that packs, waits or drains, that thread's work is left to it. A handler may raise (Ctrl-C):
what was taken changes its place in statements without a call between them, so that each call is in one
place, and is drained once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from threading import get_ident
from time import monotonic
from time import time as now
from typing import Any

from tracker.errors import BadValue
from tracker.series.batch import LAST_STEP, Batch, Calls, Codes, pack
from tracker.series.deferred import check, snapshot
from tracker.values import brief, is_flag, name_text, no_mapping

PACK_POINTS = 1 << 15  # about 3 MiB of Python floats, packed in a few milliseconds
FEWEST_CALLS, MOST_CALLS = 128, 2048  # packing must be rarer than one call in a hundred
MOST_CODES = 1 << 16  # names that are numbered from 0 on


class Buffer:
    """What ``log`` appends to. Any number of threads may log; one at a time may drain.

    Args:
        next_step: the step of the first call that is given without one.
        limit: how many numbers may wait as arrays (a call costs two, and one for each metric; two for
            each where names differ from call to call).
        wake: called by a logging thread, at most once between drains, when a quarter of ``limit``
            waits; it must only signal.
        patience: seconds that a call waits for a drain once ``limit`` is reached.
    """

    def __init__(
        self,
        *,
        next_step: int = 0,
        limit: int = 1 << 20,
        wake: Callable[[], None] | None = None,
        patience: float = 1.0,
    ) -> None:
        self.dropped = 0
        self.bad = 0
        self.warning: str | None = None
        self.waited = 0.0
        self._limit = limit
        self._wake = wake
        self._patience = patience
        self.calls: list[Any] = []  # step, time, values, step, time, values, …
        self._high = 3 * 1024
        self._last = next_step - 1
        self.packed: list[Batch] = []
        self.held: list[Batch | Calls] = []  # what a drain has taken and not yet given
        self._inside: set[int] = set()  # threads that pack, wait or drain
        self._codes: Codes | None = None
        self._size = 0
        self._given_up = False
        self._woken = False
        self._lock = threading.RLock()  # reentrant: a signal handler may log or drain
        self._room = threading.Condition(self._lock)
        self._forgotten = False

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Append the values as they are now.

        ``step`` defaults to the last call's step + 1; steps may repeat, go back or jump.

        Raises:
            BadValue: for metrics that are not a mapping, a value that is not one number, or a step
                that is not a 64-bit integer.
        """
        try:
            values = {**metrics}
            for value in values.values():
                if value.__class__ is not float:
                    for name, value in values.items():
                        if value.__class__ is not float:
                            values[name] = snapshot(value, name)
                    break
        except BadValue:
            raise
        except Exception as error:  # whatever its own methods raise
            raise no_mapping(metrics) from error
        if step is not None and (
            step.__class__ is not int or step >> 62
        ):  # quicker than two limits
            step = _whole(step)
        calls = self.calls  # one list for good: no thread can append to one already taken
        if not calls:
            _check_names(values)
        calls += (step, now(), values)  # one operation, flat: the collector has no tuple to track
        if len(calls) > self._high:
            self._relieve()

    def drain(self) -> list[Batch]:
        """Take everything that has been logged, oldest first; empty when nothing has.

        Empty as well for a signal handler that has interrupted its own thread in here.
        """
        thread = get_ident()
        if thread in self._inside:
            return []
        self._inside |= {thread}
        try:
            with self._lock:
                # A drain that was interrupted has left these.
                size = sum(item.numbers for item in self.held)
                calls, last = self._take()
                held, count = [*self.held, *self.packed], 3 * len(calls.steps)
                if count:
                    held += (calls,)
                self.held, self.packed, self._size, self._last = held, [], size, last
                del self.calls[:count]
                self._given_up = self._woken = False
                self._room.notify_all()
            # outside the lock: reading a device may wait
            batches = [self._pack(one) if isinstance(one, Calls) else one for one in held]
        finally:
            self._inside -= {thread}
        self.held = []
        return batches

    def forget(self) -> None:
        """Let go of everything, for a forked child: its copy is the parent's to write."""
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._forgotten = True
        self._inside.clear()
        self.calls.clear()
        self.packed, self.held = [], []

    def _relieve(self) -> None:
        """Pack what has been appended, or wait, or drop it."""
        if self._forgotten:
            return self.calls.clear()
        thread = get_ident()
        # A signal handler: what it has interrupted continues afterwards.
        if thread in self._inside:
            return None
        self._inside |= {thread}
        try:
            with self._lock:
                return self._pack_or_drop() if len(self.calls) > self._high else None
        finally:
            self._inside -= {thread}

    def _pack_or_drop(self) -> None:
        if self._size >= self._limit and not self._wait():
            return self._drop()
        calls, last = self._take()
        batch = self._pack(calls)
        numbers, count = batch.numbers, 3 * len(calls.steps)
        self.packed += (batch,)
        self._size += numbers
        self._last = last
        del self.calls[:count]
        width = max(1, batch.points // max(1, batch.calls))
        self._high = 3 * min(max(PACK_POINTS // width, FEWEST_CALLS), MOST_CALLS)
        return self._signal()

    def _signal(self) -> None:
        if self._wake is not None and not self._woken and self._size >= self._limit // 4:
            self._woken = True
            self._wake()

    def _wait(self) -> bool:
        """Wait for a drain; returns whether there is room now."""
        if self._given_up:
            return False
        started = monotonic()
        room = self._room.wait_for(lambda: self._size < self._limit, self._patience)
        self.waited += monotonic() - started
        self._given_up = not room
        return room

    def _drop(self) -> None:
        calls, last = self._take()
        lost, count = sum(map(len, calls.values)), 3 * len(calls.steps)
        self.dropped += lost
        self._last = last
        del self.calls[:count]

    def _take(self) -> tuple[Calls, int]:
        """Copy the calls appended so far, their steps settled in order; also the last step. Needs the lock."""
        calls = self.calls[:]
        steps = calls[0::3]
        if None in steps:
            steps = list(accumulate(steps, _next_step, initial=self._last))[1:]
        return Calls(steps, calls[1::3], calls[2::3]), steps[-1] if steps else self._last

    def _pack(self, calls: Calls) -> Batch:
        if self._codes is None or len(self._codes) > MOST_CODES:
            self._codes = Codes()
        batch, lost = pack(calls, self._codes)
        if lost.points:
            self.bad += lost.points
            self.warning = self.warning or f"A value was not recorded: {lost.why}."
        return batch


def check_call(metrics: Mapping[str, Any], step: int | None = None) -> None:
    """Raise what `Buffer.log` raises, and keep nothing."""
    try:
        for name, value in {**metrics}.items():
            if value.__class__ is not float:
                check(value, name)
    except BadValue:
        raise
    except Exception as error:  # whatever its own methods raise
        raise no_mapping(metrics) from error
    _check_names(metrics)
    if step is not None and (step.__class__ is not int or step >> 62):
        _whole(step)


def _check_names(names: Iterable[Any]) -> None:
    """Raise for a name that is too long.

    The first call since the last flush is looked at, every other one would cost a fifth of its time: a long name
    in one of those, like a name without a text anywhere, is found and left out, with a warning, when it is packed.
    """
    for name in names:
        if name.__class__ is str:
            name_text(name, "A metric's name")


def _next_step(last: int, step: int | None) -> int:
    return min(last + 1, LAST_STEP) if step is None else step


def _whole(step: Any) -> int:
    if is_flag(step):
        raise BadValue(f"step is {step}: it must be an integer.")
    try:
        whole = int(step.__index__())
    except Exception as error:  # whatever the step's own methods raise
        raise BadValue(f"step is {brief(step)}: it must be an integer.") from error
    if not -LAST_STEP <= whole <= LAST_STEP:
        raise BadValue(f"step is {brief(whole)}: it must fit into 64 bits.")
    return whole
