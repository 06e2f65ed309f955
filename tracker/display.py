"""Values as people read them, on a terminal and on the page."""

from __future__ import annotations

import re
from datetime import datetime

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return text without terminal control; a line break or tab becomes a space."""
    if text.isascii() and text.isprintable():
        return text
    text = _ESCAPES.sub("", text)
    return _CONTROLS.sub(lambda match: " " if match.group() in "\n\r\t" else "", text)


def local(microseconds: int) -> str:
    """Write a time in the local time zone: ``2026-03-01 12:00``."""
    try:
        return datetime.fromtimestamp(microseconds // 1_000_000).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return f"{microseconds / 1e6:.0f} s"
