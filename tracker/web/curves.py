"""Step metrics for a chart: of any number of points those that its pixels can show, always chosen from all.

Of each bucket the lowest and the highest value stay (`tracker.series.downsample`); smoothing is done before that, over
all points; NaN and infinities, which a line cannot show, are sent as markers.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracker.errors import BadValue
from tracker.queries.stored_series import Decoded, StoredPart, parts_of, read_parts
from tracker.series.downsample import FEWEST, thin
from tracker.storage.database import Reader

Floats = npt.NDArray[np.float64]

MOST_POINTS = 6000
"""Points of one answer: 16 bytes each, 96 kB."""
MOST_MARKERS = 500
_MOST_BYTES = 320_000_000
"""What is kept decoded: 20 million points."""
_SMALLEST = 1e-250


class Blocks:
    """Decoded blocks, as long as there is room; the ones that nobody asked for longest go first."""

    def __init__(self, most: int = _MOST_BYTES) -> None:
        self._most, self._bytes = most, 0
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[StoredPart, bool], Decoded] = OrderedDict()

    def read(
        self, reader: Reader, run: str, parts: Sequence[StoredPart], *, times: bool
    ) -> list[Decoded]:
        """Return the points of blocks, in their order; reads only those that are not kept."""
        with self._lock:
            found = {part: self._known.get((part, times)) for part in parts}
            for part, decoded in found.items():
                if decoded is not None:
                    self._known.move_to_end((part, times))
        missing = [part for part, decoded in found.items() if decoded is None]
        for part, decoded in read_parts(reader, run, missing, times=times):
            found[part] = decoded
            self._keep((part, times), decoded)
        return [decoded for part in parts if (decoded := found[part]) is not None]

    def _keep(self, key: tuple[StoredPart, bool], decoded: Decoded) -> None:
        with self._lock:
            if key not in self._known:
                self._bytes += _size(decoded)
            self._known[key] = decoded
            while self._bytes > self._most and len(self._known) > 1:
                _, gone = self._known.popitem(last=False)
                self._bytes -= _size(gone)


def _size(decoded: Decoded) -> int:
    return int(decoded.x.nbytes + decoded.values.nbytes)


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

    Raises:
        BadValue: for a number of points or a weight that is impossible.
        UnknownMetric, StoreError: see `tracker.queries.stored_series`.
    """
    if not FEWEST <= points <= MOST_POINTS:
        raise BadValue(f"points is {points}: it must be from {FEWEST} to {MOST_POINTS}.")
    if not 0 <= ema < 1:
        raise BadValue(f"ema is {ema:g}: it must be at least 0 and less than 1.")
    parts = parts_of(reader, run, name)
    ends = _ends(parts)
    # An average needs what came before; times are known only once they are decoded.
    wanted = parts if times or ema else _between(parts, start, stop)
    decoded = blocks.read(reader, run, wanted, times=times)
    x, y = _joined(decoded, times)
    if times:
        ends = (float(x[0]), float(x[-1])) if len(x) else (None, None)
    if ema:
        y = smoothed(y, ema)
    if start is not None or stop is not None:
        low = 0 if start is None else int(np.searchsorted(x, start, "left"))
        high = len(x) if stop is None else int(np.searchsorted(x, stop, "right"))
        x, y = x[low:high], y[low:high]
    return _thinned(x, y, points, ends)


def _ends(parts: Sequence[StoredPart]) -> tuple[float | None, float | None]:
    if not parts:
        return None, None
    return float(min(part.first_step for part in parts)), float(
        max(part.last_step for part in parts)
    )


def _between(
    parts: Sequence[StoredPart], start: float | None, stop: float | None
) -> list[StoredPart]:
    low, high = -math.inf if start is None else start, math.inf if stop is None else stop
    return [part for part in parts if part.last_step >= low and part.first_step <= high]


def _joined(decoded: Sequence[Decoded], times: bool) -> tuple[Floats, Floats]:
    """Return the points by rising x; points of one x stay in the order in which they were logged."""
    if not decoded:
        return np.empty(0), np.empty(0)
    x = np.concatenate([block.x for block in decoded])
    y = np.concatenate([block.values for block in decoded])
    if (x[1:] < x[:-1]).any():
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    return (x / 1e6 if times else x.astype(np.float64)), y


def smoothed(values: Floats, weight: float) -> Floats:
    """Return the exponential moving average, without the bias of its beginning; odd values are passed over.

    As in TensorBoard: ``m = weight * m + (1 - weight) * value``, over ``1 - weight ** n``.
    """
    finite = np.isfinite(values)
    known = values[finite]
    if not len(known):
        return values
    # Powers of the weight must not vanish within one chunk.
    size = max(1, min(len(known), int(math.log(_SMALLEST) / math.log(weight))))
    decay = weight ** np.arange(1, size + 1)
    out = np.empty(len(known))
    mean = 0.0
    for at in range(0, len(known), size):
        chunk = known[at : at + size]
        powers = decay[: len(chunk)]
        part = powers * (mean + np.cumsum((1 - weight) * chunk / powers))
        out[at : at + size] = part
        mean = float(part[-1])
    count = np.arange(1, len(known) + 1)
    averaged = values.copy()
    averaged[finite] = out / (1 - np.power(weight, count))
    return averaged


def _thinned(x: Floats, y: Floats, points: int, ends: tuple[float | None, float | None]) -> Curve:
    total = len(x)
    odd = np.flatnonzero(~np.isfinite(y))
    odd_x, odd_y = x[odd], y[odd]
    if len(odd):
        finite = np.isfinite(y)
        x, y = x[finite], y[finite]
        odd = np.unique(np.linspace(0, len(odd_x) - 1, min(len(odd_x), MOST_MARKERS)).astype(int))
        odd_x, odd_y = odd_x[odd], odd_y[odd]
    places = thin(y, points)
    return Curve(x[places], y[places], odd_x, odd_y, total, *ends)
