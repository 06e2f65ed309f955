"""A checksum for each epoch, over its row and its metrics: a bit that flips on a disk is found, and not shown as true.

It says nothing against somebody who changes values on purpose, and can compute a checksum as well.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any
from zlib import crc32

from tracker.values import MetricValue

_FIELDS = itemgetter(
    "attempt", "epoch", "started", "step", "seconds", "learning_rate", "learning_rates", "run_id"
)
_ROW = struct.Struct("<qqqqddB")
_MOST_LAYOUTS = 256


def epoch_checksum(row: Mapping[str, Any], metrics: Sequence[MetricValue]) -> int:
    """Return the CRC-32 of an epoch.

    Args:
        row: its columns by name, those of `tracker.models.Epoch`; ``superseded`` is not part of it, which
            a resume changes.
        metrics: all that it has, in any order.
    """
    names = tuple([metric[0] for metric in metrics])
    layout, sort, pack = _layout(names, tuple([metric[2] for metric in metrics]))
    # Adding 0.0 makes -0.0 positive: SQLite keeps no sign of it.
    numbers = [0.0 if metric[1] is None else metric[1] + 0.0 for metric in metrics]
    attempt, epoch, started, step, seconds, rate, rates, run = _FIELDS(row)
    missing = (step is None) + 2 * (rate is None)
    head = _ROW.pack(
        attempt, epoch, started, step or 0, seconds + 0.0, (rate or 0.0) + 0.0, missing
    )
    data = run.encode() + head + pack(*sort(numbers)) + (rates or "").encode()
    return crc32(data, layout)


def is_intact(epoch: Any, metrics: Sequence[MetricValue]) -> bool:
    """Say whether an epoch (a row) and its metrics are as they were recorded; one without a checksum is."""
    if epoch.checksum is None:
        return True
    try:
        return bool(epoch_checksum(epoch._mapping, metrics) == epoch.checksum)
    except (TypeError, ValueError, AttributeError, struct.error):
        # SQLite says with each value of which type it is: that may have changed as well.
        return False


@lru_cache(maxsize=_MOST_LAYOUTS)
def _layout(
    names: tuple[str, ...], kinds: tuple[str | None, ...]
) -> tuple[int, Callable[[list[float]], Sequence[float]], Callable[..., bytes]]:
    """Return what is the same in most epochs of a run.

    That is the checksum of names and kinds; what sorts values by name; and what packs them.
    """
    order = sorted(range(len(names)), key=lambda place: (names[place], str(kinds[place])))
    text = [names[place] for place in order] + [str(kinds[place]) for place in order]
    sort = itemgetter(*order) if len(order) > 1 else list
    return crc32("\0".join(text).encode()), sort, struct.Struct(f"<{len(names)}d").pack
