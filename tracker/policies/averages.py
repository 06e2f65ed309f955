"""How an epoch's averages are made of batches: what counts as a metric, and how much a batch weighs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracker.policies import validation

BOOKKEEPING = ("batch", "size", "num_steps")
"""Names in the logs of a batch that are not metrics; they are Keras 2's."""


def weight_of(logs: Mapping[str, Any]) -> float:
    """Return ``logs["size"]`` times ``logs["num_steps"]``, 1 by default, as Keras 2 weighs a batch.

    Raises:
        BadValue: one of them is not a finite number of 0 or more.
    """
    size = validation.real(logs.get("size", 1), "size", least=0)
    return size * validation.real(logs.get("num_steps", 1), "num_steps", least=0)
