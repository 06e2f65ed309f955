"""A checksum for each epoch, over its row and its metrics: a bit that flips on a disk is found, and not shown as true.

It says nothing against somebody who changes values on purpose, and can compute a checksum as well.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from zlib import crc32

from tracker.values import MetricValue

_FIELDS = "attempt", "epoch", "started", "step", "seconds", "learning_rate"
_ROW = struct.Struct("<qqqqddB")
_MOST_LAYOUTS = 256


def epoch_checksum(row: Mapping[str, Any], metrics: Sequence[MetricValue]) -> int:
    """Return the CRC-32 of an epoch.

    Args:
        row: its columns by name, those of `tracker.models.Epoch`; ``superseded`` is not part of it, which
            a resume changes.
        metrics: all that it has, in any order.
    """
    names, values, kinds = zip(*sorted(metrics), strict=True) if metrics else ((), (), ())
    attempt, epoch, started, step, seconds, rate = (row[name] for name in _FIELDS)
    missing = (step is None) + 2 * (rate is None)
    # Adding 0.0 makes -0.0 positive: SQLite keeps no sign of it.
    head = _ROW.pack(
        attempt, epoch, started, step or 0, seconds + 0.0, (rate or 0.0) + 0.0, missing
    )
    numbers = [0.0 if value is None else value + 0.0 for value in values]
    tail = struct.pack(f"<{len(numbers)}d", *numbers) + (row["learning_rates"] or "").encode()
    return crc32(row["run_id"].encode() + head + tail, _layout(names, kinds))


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
def _layout(names: tuple[str, ...], kinds: tuple[str | None, ...]) -> int:
    """Return the checksum of names and kinds, which are the same in most epochs of a run."""
    return crc32("\0".join((*names, *map(str, kinds))).encode())
