"""How an epoch's averages are made of batches: what counts as a metric, and how much a batch weighs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracker.policies import validation

BOOKKEEPING = ("batch", "size", "num_steps")
"""Names in the logs of a batch that are no metrics; they are Keras 2's."""


def weight_of(logs: Mapping[str, Any]) -> float:
    """Return ``logs["size"]`` times ``logs["num_steps"]``, 1 by default, as Keras 2 weighs a batch.

    Raises:
        BadValue: one of them is no finite number of 0 or more.
    """
    return validation.real("size", logs.get("size", 1), least=0) * validation.real(
        "num_steps", logs.get("num_steps", 1), least=0
    )
