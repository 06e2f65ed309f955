"""Parameters and tags as rows of their tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tracker import values


def param(run_id: str, name: Any, value: Any) -> dict[str, Any]:
    """Return a parameter as its table's columns."""
    kind, text, number = values.param_encode(value)
    return {
        "run_id": run_id,
        "name": values.clean_text(str(name)),
        "kind": kind,
        "text": text,
        "number": number,
    }


def tags(run_id: str, given: Mapping[str, Any] | Iterable[str]) -> list[dict[str, Any]]:
    """Return tags as their table's columns."""
    if isinstance(given, str):
        given = [given]
    pairs = given.items() if isinstance(given, Mapping) else ((name, "") for name in given)
    return [
        {
            "run_id": run_id,
            "name": values.clean_text(str(name)),
            "value": values.clean_text(str(value)),
        }
        for name, value in pairs
    ]
