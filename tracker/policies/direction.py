"""Whether lower or higher is better, for listing and for keeping the best file."""

from __future__ import annotations

from functools import lru_cache

from tracker.errors import BadValue
from tracker.policies.modes import TRACKER, direction_of
from tracker.values import from_json


def direction(name: str, mode: str | None = None) -> str:
    """Return ``mode`` where it is "min" or "max"; else "max" for names of accuracies and scores, and "min".

    The rule for names is that of ``mode="auto"`` under ``tracker-1`` (`tracker.policies.modes.direction_of`);
    a name that says nothing counts as a loss.
    """
    if mode in ("min", "max"):
        return mode
    return _by_name(name)


@lru_cache(maxsize=1024)
def _by_name(name: str) -> str:
    try:
        return direction_of(name, "auto", TRACKER)
    except BadValue:
        return "min"


@lru_cache(maxsize=256)
def mode_in(config: str | None) -> str | None:
    """Return the ``mode`` in a policy's configuration, a JSON text; None where it has none."""
    mode = (from_json(config) or {}).get("mode")
    return mode if isinstance(mode, str) else None
