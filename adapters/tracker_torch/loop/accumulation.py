"""How many batches a loop accumulates gradients over, and whether a resume has changed that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Accumulation:
    """Notes at which batch each optimizer makes a step.

    A loop that counts its batches with ``enumerate`` begins at 0 again in an epoch that is resumed in its
    middle, and then accumulates over more batches than before.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._longest: dict[str, int] = {}
        self._resumed: set[str] = set()

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Return the batch of each optimizer's last step, and the most batches from one step to the next."""
        return {"last": dict(self._last), "longest": dict(self._longest)}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Continue in the middle of an epoch, with what `as_dict` returned."""
        self._last = dict(saved.get("last", {}))
        self._longest = dict(saved.get("longest", {}))
        self._resumed = set(self._longest)

    def note(self, name: str, batch: int) -> str | None:
        """Take a step of an optimizer; returns what is wrong with the first one after a resume."""
        last, self._last[name] = self._last.get(name), batch
        if last is None:
            return None
        apart, longest = batch - last, self._longest.get(name, 0)
        if apart > longest:
            self._longest[name] = apart
        if name not in self._resumed:
            return None
        self._resumed.discard(name)
        # Without accumulation a step that a scaler left out is no sign of anything.
        if apart <= longest or longest < 2:
            return None
        return (
            f"the optimizer's first step after the resume came {apart} batches after the one before it, and "
            f"they were at most {longest} apart until then: the training is not the uninterrupted one. An "
            f"enumerate() over the batches begins at 0 in an epoch that is resumed in its middle; count "
            f"with training.step."
        )
