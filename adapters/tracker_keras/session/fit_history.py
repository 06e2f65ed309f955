"""What the fits of this process have recorded into a run: a second one goes on from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import tracker


@dataclass(slots=True)
class Trained:
    """What is in a run already.

    Attributes:
        last: its last epoch; None where none was recorded.
        steps: how many steps were done when an epoch began, by epoch, as far as steps were streamed.
    """

    last: int | None = None
    steps: dict[int, int] = field(default_factory=dict)


_trained: WeakKeyDictionary[tracker.Run, Trained] = WeakKeyDictionary()


def trained(run: tracker.Run) -> Trained:
    """Return what this process has recorded into ``run``, to be kept up to date."""
    return _trained.setdefault(run, Trained())
