"""The ``state`` column of a decision: what the callback remembers, and the code of what brought it about.

The code stands beside the state under a key of its own (`CAUSE`), so that no reader has to
understand a reason, which is a sentence for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracker import values
from tracker.states import Cause

CAUSE = "$cause"
"""The key of the code; no callback's own, as `encode` replaces it."""


def encode(state: Mapping[str, Any] | None, cause: Cause | None) -> str | None:
    """Return the column's text; None where there is nothing to keep."""
    if cause is None:
        return None if state is None else values.to_json(state)
    return values.to_json({**(state or {}), CAUSE: str(cause)})


def state_of(text: str | None) -> dict[str, Any] | None:
    """Return what the callback remembered; None where the decision kept nothing but its cause."""
    stored = values.from_json(text)
    if stored is None or stored.keys() == {CAUSE}:
        return None
    return {name: value for name, value in stored.items() if name != CAUSE}


def cause_of(text: str | None) -> str | None:
    """Return the code of what brought the decision about; None for the callback's own rule.

    A newer release may know codes that are not in `Cause`.
    """
    if text is None or CAUSE not in text:
        return None
    cause: str | None = values.from_json(text).get(CAUSE)
    return cause
