"""What callbacks get to see of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tracker import number


class BatchLogs(Mapping[str, Any]):
    """What was logged in a batch; a tensor becomes a float when it is looked at, not before.

    Attributes:
        raw: the values as they were logged.
    """

    __slots__ = ("_read", "raw")

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = {str(name): value for name, value in raw.items()}
        self._read: dict[str, float] = {}

    def __getitem__(self, name: str) -> float:
        if name not in self._read:
            self._read[name] = number(self.raw[name], name)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        return repr(dict(self))
