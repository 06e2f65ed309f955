"""What kind of column the values of a parameter make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_EXACT = 2**53  # integers up to here are doubles, too


def kind_of(values: Iterable[Any]) -> str:
    """Return the kind of `tracker.queries.listing.Column` that holds all the values exactly."""
    values = list(values)
    there = {type(value) for value in values if value is not None}
    if there == {bool}:
        return "any" if None in values else "flag"
    if there == {str}:
        return "text"
    if there == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return "optional" if None in values else "integer"
    if there == {float}:
        return "number"
    if there == {int, float} and all(not isinstance(v, int) or abs(v) <= _EXACT for v in values):
        return "number"
    return "any"
