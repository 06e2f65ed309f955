"""Step metrics for a chart: of any number of points those that its pixels can show, always chosen from all.

Of each bucket the lowest and the highest value stay (`tracker.series.downsample`); smoothing is done before that, over
all points; NaN and infinities, which a line cannot show, are sent as markers.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from tracker.errors import BadValue
from tracker.queries.stored_series import Decoded, StoredPart, parts_of, read_parts
from tracker.series.downsample import FEWEST, thin
from tracker.series.smooth import smoothed
from tracker.storage.database import Reader
from tracker.web.sketches import Sketch, by_x, scaled, sketches_of

Floats = npt.NDArray[np.float64]

MOST_POINTS = 6000
"""Points of one answer: 16 bytes each, 96 kB."""
MOST_MARKERS = 500
_MOST_BYTES = 320_000_000
"""What is kept decoded: 20 million points."""
_SKETCHED_FROM = 200_000
"""From so many points on a range is drawn from sketches of its blocks."""
_OVERHEAD = 500
_WIDE_BLOCKS = 32
"""On a logarithmic axis so many first blocks are read whole: beyond them, sketches hold 1 000 points a doubling."""


Key = tuple[StoredPart, bool]


class Blocks:
    """Decoded blocks and sketches, as long as there is room; those that nobody asked for longest go first."""

    def __init__(self, most: int = _MOST_BYTES) -> None:
        self._decoded: _Recent[Decoded] = _Recent(most)
        self._sketches: _Recent[Sketch] = _Recent(most)

    def read(
        self, reader: Reader, run: str, parts: Sequence[StoredPart], *, times: bool
    ) -> list[Decoded]:
        """Return the points of blocks, in their order; reads only those that are not kept."""
        found = {part: self._decoded.get((part, times)) for part in parts}
        missing = [part for part, decoded in found.items() if decoded is None]
        for part, decoded in read_parts(reader, run, missing, times=times):
            found[part] = decoded
            self._decoded.put((part, times), decoded, decoded.x.nbytes + decoded.values.nbytes)
        return [block for part in parts if (block := found[part]) is not None]

    def sketches(
        self, reader: Reader, run: str, parts: Sequence[StoredPart], *, times: bool
    ) -> list[tuple[StoredPart, Sketch]]:
        """Return the sketch of each block that has points; reads only blocks without one."""
        found = {part: self._sketches.get((part, times)) for part in parts}
        missing = [part for part, sketch in found.items() if sketch is None]
        for part, sketch in sketches_of(read_parts(reader, run, missing, times=times), times):
            found[part] = sketch
            size = 2 * (sketch.x.nbytes + sketch.odd_x.nbytes) + _OVERHEAD
            self._sketches.put((part, times), sketch, size)
        return [(part, one) for part in parts if (one := found[part]) is not None]


T = TypeVar("T")


class _Recent(Generic[T]):
    """Keeps what was asked for most recently, up to so many bytes; from any thread."""

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._lock = threading.Lock()
        self._known: OrderedDict[Key, tuple[T, int]] = OrderedDict()

    def get(self, key: Key) -> T | None:
        with self._lock:
            entry = self._known.get(key)
            if entry is None:
                return None
            self._known.move_to_end(key)
            return entry[0]

    def put(self, key: Key, value: T, size: int) -> None:
        with self._lock:
            _, before = self._known.pop(key, (None, 0))
            self._known[key] = value, size
            self._bytes += size - before
            while self._bytes > self._most and len(self._known) > 1:
                _, (_, gone) = self._known.popitem(last=False)
                self._bytes -= gone


@dataclass(frozen=True)
class Curve:
    """What a chart draws.

    Attributes:
        x, y: points, by rising x; x is a step, or seconds since 1970.
        odd_x, odd: where a value is NaN or infinite, and which: as doubles.
        total: how many points there are in the range.
        first, last: the range of x of the whole series; None without points.
    """

    x: Floats
    y: Floats
    odd_x: Floats
    odd: Floats
    total: int
    first: float | None
    last: float | None

    def packed(self) -> bytes:
        """Return x, y, odd_x and odd one after the other, as little-endian doubles."""
        columns = (self.x, self.y, self.odd_x, self.odd)
        return b"".join(column.astype("<f8").tobytes() for column in columns)


def curve(
    reader: Reader,
    blocks: Blocks,
    run: str,
    name: str,
    *,
    times: bool = False,
    start: float | None = None,
    stop: float | None = None,
    points: int = 2000,
    ema: float = 0.0,
    log: bool = False,
) -> Curve:
    """Return a step metric between two x, both included, with at most about ``points`` points.

    Args:
        reader: an open database.
        blocks: what is decoded already.
        run: the id of a run.
        name: a step metric.
        times: x is the time instead of the step.
        start, stop: the range; None for its end.
        points: how many a chart can show.
        ema: the weight of the past in an exponential moving average, 0 … 1; 0 for the values themselves.
        log: the axis of steps is logarithmic: each doubling of the step gets as many points; only steps above 0.

    Raises:
        BadValue: for a number of points or a weight that is impossible, or logarithmic times.
        UnknownMetric, StoreError: see `tracker.queries.stored_series`.
    """
    if not FEWEST <= points <= MOST_POINTS:
        raise BadValue(f"points is {points}: it must be from {FEWEST} to {MOST_POINTS}.")
    if not 0 <= ema < 1:
        raise BadValue(f"ema is {ema:g}: it must be at least 0 and less than 1.")
    if log and times:
        raise BadValue("scale is 'log': only steps have it; leave x=time out.")
    view = _View(start, stop, points, times=times, log=log)
    if log:
        view = replace(view, start=max(1.0, start or 1.0))
    parts = parts_of(reader, run, name)
    ends = _ends(parts)
    if not ema and sum(part.points for part in parts) > _SKETCHED_FROM:
        wanted = parts if times else view.among(parts)
        sketches = blocks.sketches(reader, run, wanted, times=times)
        if times and sketches:
            lows, highs = [one.low for _, one in sketches], [one.high for _, one in sketches]
            ends = min(lows), max(highs)
        inside = [(part, sketch) for part, sketch in sketches if view.touches(sketch)]
        if sum(sketch.total for _, sketch in inside) > _SKETCHED_FROM:
            return _thinned(_overview(reader, blocks, run, inside, view), view, ends)
        parts = [part for part, _ in inside]
    # An average needs what came before; times are known only once they are decoded.
    wanted = parts if times or ema else view.among(parts)
    x, y = _joined(blocks.read(reader, run, wanted, times=times), times)
    if times and ends == (None, None) and len(x):
        ends = float(x[0]), float(x[-1])
    if ema:
        y = smoothed(y, ema)
    return _thinned(view.cut(x, y), view, ends)


@dataclass(frozen=True)
class _View:
    """What a chart shows: the arguments of `curve`."""

    start: float | None
    stop: float | None
    points: int
    times: bool
    log: bool

    def among(self, parts: Sequence[StoredPart]) -> list[StoredPart]:
        """Return the blocks that have steps in the range."""
        low = -math.inf if self.start is None else self.start
        high = math.inf if self.stop is None else self.stop
        return [part for part in parts if part.last_step >= low and part.first_step <= high]

    def touches(self, sketch: Sketch) -> bool:
        """Say whether a block has points in the range."""
        return (self.stop is None or sketch.low <= self.stop) and (
            self.start is None or sketch.high >= self.start
        )

    def holds(self, sketch: Sketch) -> bool:
        """Say whether all of a block's points are in the range."""
        return (self.start is None or sketch.low >= self.start) and (
            self.stop is None or sketch.high <= self.stop
        )

    def cut(self, x: Floats, y: Floats) -> _Points:
        """Return the points in the range."""
        low = 0 if self.start is None else int(np.searchsorted(x, self.start, "left"))
        high = len(x) if self.stop is None else int(np.searchsorted(x, self.stop, "right"))
        x, y = x[low:high], y[low:high]
        finite = np.isfinite(y)
        return _Points(x[finite], y[finite], x[~finite], y[~finite], len(x))


class _Points(NamedTuple):
    """Points by rising x, with the NaN and infinite ones apart; ``total`` also counts what a sketch leaves out."""

    x: Floats
    y: Floats
    odd_x: Floats
    odd: Floats
    total: int


def _overview(
    reader: Reader,
    blocks: Blocks,
    run: str,
    inside: Sequence[tuple[StoredPart, Sketch]],
    view: _View,
) -> _Points:
    """Return many points from the sketches of their blocks; blocks at the edges of the range are read whole.

    On a logarithmic axis the first blocks are wide, too.
    """
    found: list[_Points] = []
    for place, (part, sketch) in enumerate(inside):
        if view.holds(sketch) and not (view.log and place < _WIDE_BLOCKS):
            found.append(_Points(sketch.x, sketch.y, sketch.odd_x, sketch.odd, sketch.total))
        else:
            decoded = blocks.read(reader, run, [part], times=view.times)
            found.append(view.cut(*_joined(decoded, view.times)))
    xs, ys, odd_xs, odds, totals = zip(*found, strict=True)
    x, y = by_x(np.concatenate(xs), np.concatenate(ys))
    odd_x, odd = by_x(np.concatenate(odd_xs), np.concatenate(odds))
    return _Points(x, y, odd_x, odd, sum(totals))


def _ends(parts: Sequence[StoredPart]) -> tuple[float | None, float | None]:
    if not parts:
        return None, None
    first, last = min(part.first_step for part in parts), max(part.last_step for part in parts)
    return float(first), float(last)


def _joined(decoded: Sequence[Decoded], times: bool) -> tuple[Floats, Floats]:
    """Return the points by rising x; points of one x stay in the order in which they were logged."""
    if not decoded:
        return np.empty(0), np.empty(0)
    x = np.concatenate([block.x for block in decoded])
    y = np.concatenate([block.values for block in decoded])
    return by_x(scaled(x, times), y)


def _thinned(points: _Points, view: _View, ends: tuple[float | None, float | None]) -> Curve:
    x, y, odd_x, odd, total = points
    if len(odd) > MOST_MARKERS:
        some = np.linspace(0, len(odd) - 1, MOST_MARKERS).astype(int)
        odd_x, odd = odd_x[some], odd[some]
    places = _by_doublings(x, y, view.points) if view.log else thin(y, view.points)
    return Curve(x[places], y[places], odd_x, odd, total, *ends)


def _by_doublings(x: Floats, y: Floats, points: int) -> npt.NDArray[np.intp]:
    """Return the places that a logarithmic axis shows: as many of each doubling of x, its extremes among them."""
    if len(x) <= points:
        return np.arange(len(x))
    powers = np.arange(math.floor(math.log2(x[0])), math.floor(math.log2(x[-1])) + 1)
    bounds = np.unique(np.searchsorted(x, 2.0 ** powers[1:], "left"))
    bounds = np.concatenate([[0], bounds[(bounds > 0) & (bounds < len(x))], [len(x)]])
    each = max(FEWEST, points // (len(bounds) - 1))
    return np.concatenate([low + thin(y[low:high], each) for low, high in pairwise(bounds)])
