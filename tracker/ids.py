"""Identifiers: 12 random hexadecimal digits."""

from __future__ import annotations

import secrets


def new_id() -> str:
    """Return an identifier of 12 hexadecimal digits."""
    return secrets.token_hex(6)
