"""Whether lower or higher is better, for listing and for keeping the best file."""

from __future__ import annotations

from tracker.errors import BadValue
from tracker.policies.modes import TRACKER, direction_of


def direction(name: str) -> str:
    """Return "max" for names of accuracies and scores, "min" for losses, errors and all others.

    The rule is that of ``mode="auto"`` under ``tracker-1`` (`tracker.policies.modes.direction_of`);
    a name that says nothing counts as a loss.
    """
    try:
        return direction_of(name, "auto", TRACKER)
    except BadValue:
        return "min"
