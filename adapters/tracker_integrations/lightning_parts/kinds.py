"""What a callback is, by the names of its classes: `lightning` and `pytorch_lightning` have each their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def is_kind(thing: object, name: str) -> bool:
    """Say whether an object is of a class of that name, or of one that is derived from it."""
    return any(kind.__name__ == name for kind in type(thing).__mro__)


def of_kind(things: Iterable[Any], name: str) -> Iterator[Any]:
    """Give those of the things that are of a class of that name."""
    return (thing for thing in things if is_kind(thing, name))


def settings(callback: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return attributes of a callback by name, as far as it has them; a leading underscore goes."""
    return {name.lstrip("_"): getattr(callback, name) for name in names if hasattr(callback, name)}
