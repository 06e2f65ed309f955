"""Frozen dataclasses that go to JSON and come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class Record:
    """Base of every configuration and state of a policy."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain data; a NaN stays a NaN."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any] | None) -> Self:
        """Return what `as_dict` took apart.

        Keys this release does not know are passed over and those that are missing keep their
        default, so that a state saved by a newer or an older release can still be read.
        """
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in (saved or {}).items() if name in known})
