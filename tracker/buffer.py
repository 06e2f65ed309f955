"""Step metrics on their way to the writer.

`Buffer.log` appends ``(step, time, values)`` to a list and returns. `Buffer.drain` turns what has
been appended into `Batch`es: arrays, one for each name.

Memory is bounded. More than a few thousand calls that nobody drained are packed into arrays by the
caller itself (about 1 µs a call, once in thousands of calls). Once ``limit`` numbers are packed, a
call waits up to ``patience`` seconds for a drain. If none comes, the newest calls are dropped whole
and counted, until the next drain. With the default limit that is at most 8 MiB of packed numbers
beside at most 8192 calls, twice that while a drain hands over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from time import monotonic
from time import time as now
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from tracker.errors import BadValue
from tracker.tensors import Deferred, fetch, snapshot
from tracker.values import clean_text

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Call = tuple[int | None, float, dict[str, Any]]

PACK_POINTS = 1 << 15  # about 3 MiB of Python floats
FEWEST_CALLS, MOST_CALLS = 64, 8192
LAST_STEP = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one name in a batch. ``rows`` (int64) says which calls had it, None: every one."""

    name: str
    rows: Ints | None
    values: Floats


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive calls of ``log``: steps and times (µs since 1970, int64), and a column a name."""

    steps: Ints
    times: Ints
    columns: list[Column]

    @property
    def calls(self) -> int:
        """How many calls there are."""
        return len(self.steps)

    @property
    def points(self) -> int:
        """How many values there are."""
        return sum(len(column.values) for column in self.columns)


class Buffer:
    """What ``log`` appends to. Any number of threads may log; one at a time may drain.

    Args:
        next_step: the step of the first call that names none.
        limit: how many numbers may wait as arrays (a call costs two, and one for each metric).
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
        self._calls: list[Call] = []
        self._high = 1024
        self._last = next_step - 1
        self._packed: list[Batch] = []
        self._size = 0
        self._given_up = False
        self._woken = False
        self._room = (
            threading.Condition()
        )  # its lock is reentrant: a signal handler may log or drain
        self._forgotten = False

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Append the values as they are now.

        ``step`` defaults to the last call's step + 1; steps may repeat, go back or jump.

        Raises:
            BadValue: for a value that is not one number, or a step that is not a 64-bit integer.
        """
        for value in metrics.values():
            if value.__class__ is not float:
                values = {name: _settled(value, name) for name, value in metrics.items()}
                break
        else:
            values = dict(metrics)
        if step.__class__ is not int and step is not None:
            step = _whole(step)
        calls = self._calls  # one list for good: no thread can append to one already taken
        calls.append((step, now(), values))
        if len(calls) > self._high:
            self._relieve()

    def drain(self) -> list[Batch]:
        """Take everything that has been logged, oldest first; an empty list when there is nothing."""
        with self._room:
            batches, self._packed, self._size = self._packed, [], 0
            self._given_up = self._woken = False
            calls, steps = self._take()
            del self._calls[: len(calls)]
            self._room.notify_all()
        try:
            if calls:  # outside the lock: reading a device may wait
                batches.append(self._gather(calls, steps))
        except BaseException:  # Ctrl-C: the next drain has them
            again = [(step, *call[1:]) for step, call in zip(steps, calls, strict=True)]
            self._packed[:0], self._calls[:0] = batches, again
            raise
        return batches

    def forget(self) -> None:
        """Let go of everything, for a forked child: its copy is the parent's to write."""
        self._room = threading.Condition()
        self._forgotten = True
        self._calls.clear()
        self._packed.clear()

    def _relieve(self) -> None:
        """Pack what has been appended, or wait, or drop it."""
        if self._forgotten:
            return self._calls.clear()
        with self._room:
            if len(self._calls) <= self._high:
                return None
            if self._size >= self._limit and not self._wait():
                return self._drop()
            calls, steps = self._take()
            batch = self._gather(calls, steps)
            self._packed.append(batch)
            del self._calls[: len(calls)]
            self._size += batch.points + 2 * batch.calls
            width = max(1, batch.points // max(1, batch.calls))
            self._high = min(max(PACK_POINTS // width, FEWEST_CALLS), MOST_CALLS)
            return self._signal()

    def _signal(self) -> None:
        if self._wake is not None and not self._woken and self._size >= self._limit // 4:
            self._woken = True
            self._wake()

    def _wait(self) -> bool:
        """Wait for a drain; say whether there is room now."""
        if self._given_up:
            return False
        started = monotonic()
        room = self._room.wait_for(lambda: self._size < self._limit, self._patience)
        self.waited += monotonic() - started
        self._given_up = not room
        return room

    def _drop(self) -> None:
        calls, _ = self._take()
        self.dropped += sum(len(values) for _, _, values in calls)
        del self._calls[: len(calls)]

    def _take(self) -> tuple[list[Call], list[int]]:
        """Copy the calls appended so far, and settle their steps in order. Needs the lock."""
        calls = self._calls[:]
        steps = [step for step, _, _ in calls]
        if None in steps:
            steps = list(accumulate(steps, _next_step, initial=self._last))[1:]
        if steps:
            self._last = cast(int, steps[-1])
        return calls, cast(list[int], steps)

    def _gather(self, calls: list[Call], steps: list[int]) -> Batch:
        try:
            settled = np.array(steps, dtype=np.int64)
        except OverflowError:
            return self._gather(*self._sane(calls, steps))
        _, seconds, values = zip(*calls, strict=True) if calls else ((), (), ())
        times = np.rint(np.fromiter(seconds, np.float64, len(calls)) * 1e6).astype(np.int64)
        return Batch(settled, times, self._table(values))

    def _sane(self, calls: list[Call], steps: list[int]) -> tuple[list[Call], list[int]]:
        kept = [row for row, step in enumerate(steps) if -LAST_STEP <= step <= LAST_STEP]
        lost = set(range(len(steps))).difference(kept)
        self.bad += sum(len(calls[row][2]) for row in lost)
        self.warning = (
            f"step {steps[min(lost)]} does not fit into 64 bits: its values are not kept."
        )
        return [calls[row] for row in kept], [steps[row] for row in kept]

    def _table(self, values: Sequence[dict[str, Any]]) -> list[Column]:
        keys = list(map(tuple, values))
        if len(set(keys)) == 1:
            return self._columns(keys[0], values, None)
        groups: dict[tuple[str, ...], list[int]] = {}
        for row, names in enumerate(keys):
            groups.setdefault(names, []).append(row)
        parts: dict[str, list[Column]] = {}
        for names, rows in groups.items():
            group = [values[row] for row in rows]
            for column in self._columns(names, group, np.array(rows, dtype=np.int64)):
                parts.setdefault(column.name, []).append(column)
        return [_merged(part) for part in parts.values()]

    def _columns(
        self, names: tuple[str, ...], values: Sequence[dict[str, Any]], rows: Ints | None
    ) -> list[Column]:
        shape = len(values), len(names)
        flat = chain.from_iterable(map(dict.values, values))
        bad = None
        try:
            table = np.fromiter(flat, np.float64, shape[0] * shape[1]).reshape(shape).T
        except TypeError:  # numbers that wait on a device
            table, bad = self._fetched(values, shape)
        columns = []
        for place, name in enumerate(names):
            kept, column = rows, np.ascontiguousarray(table[place])
            if bad is not None and bad[place].any():
                good = np.flatnonzero(~bad[place])
                kept, column = (good if rows is None else rows[good]), column[good]
            columns.append(Column(clean_text(str(name)), kept, column))
        return columns

    def _fetched(
        self, values: Sequence[dict[str, Any]], shape: tuple[int, int]
    ) -> tuple[Floats, npt.NDArray[np.bool_]]:
        flat = [value for call in values for value in call.values()]
        waiting = [place for place, value in enumerate(flat) if isinstance(value, Deferred)]
        bad = np.zeros(len(flat), dtype=np.bool_)
        for place, value in zip(waiting, fetch([flat[i] for i in waiting]), strict=True):
            bad[place] = value is None
            flat[place] = 0.0 if value is None else value
        if bad.any():
            self.bad += int(bad.sum())
            name = [*values[0]][int(np.flatnonzero(bad)[0]) % shape[1]]
            self.warning = f"{self.bad} values could not be read from their device, {name} first."
        return np.array(flat, dtype=np.float64).reshape(shape).T, bad.reshape(shape).T


def _merged(parts: list[Column]) -> Column:
    """Put the points of one name that came among different names back into the order of the calls."""
    if len(parts) == 1:
        return parts[0]
    rows = np.concatenate([part.rows for part in parts if part.rows is not None])
    order = np.argsort(rows, kind="stable")
    values = np.concatenate([part.values for part in parts])
    return Column(parts[0].name, rows[order], values[order])


def _settled(value: Any, name: str) -> float | Deferred:
    return value if value.__class__ is float else snapshot(value, name)


def _next_step(last: int | None, step: int | None) -> int:
    return min(cast(int, last) + 1, LAST_STEP) if step is None else step


def _whole(step: Any) -> int:
    try:
        whole = int(step.__index__())
    except (AttributeError, TypeError, ValueError) as error:
        raise BadValue(f"step is {step!r}: it must be an integer.") from error
    if not -LAST_STEP <= whole <= LAST_STEP:
        raise BadValue(f"step is {whole}: it must fit into 64 bits.")
    return whole
