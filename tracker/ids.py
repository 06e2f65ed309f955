"""Identifiers: 12 random hexadecimal digits."""

from __future__ import annotations

import secrets


def new_id() -> str:
    """Return an identifier of 12 hexadecimal digits, the first of which is a letter.

    So none of them is a number to whoever reads an export: pandas and spreadsheets take ``402913886501`` for one, and
    ``12e456789012`` for a very large one.
    """
    return secrets.choice("abcdef") + secrets.token_hex(6)[1:]
