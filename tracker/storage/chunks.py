"""Long lists of keys in parts: SQLite before 3.32 takes 999 values in a statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Key = TypeVar("Key")

CHUNK = 500  # values in one IN (…)


def in_parts(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    """Split keys into parts of at most `CHUNK`."""
    return (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))
