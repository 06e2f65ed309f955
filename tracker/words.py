"""Sentences that count, and words cut to fit into one."""

from __future__ import annotations


def counted(count: float, one: str, many: str | None = None) -> str:
    """Write ``1 epoch``, ``3 epochs``; ``many`` is the plural where it is not ``one`` and an s."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def cut(text: str, most: int = 80) -> str:
    """Return the text, or its first ``most`` characters and an ellipsis."""
    return text if len(text) <= most else f"{text[:most]}…"
