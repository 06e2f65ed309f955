"""Text measured in cells of a terminal: how wide it is, cut to a width, folded into lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

ELLIPSIS = "…"
_JOINER = "\u200d"
_EMOJI_STYLE = "\ufe0f"
_BREAKS_AFTER = ("/,;", "-_")
"""Where there is no space, a line ends after one of the first of these, else after one of the second."""


def cells_wide(text: str) -> int:
    """Return how many cells text takes; of a sequence that a joiner makes one picture, the first counts."""
    if text.isascii():
        return len(text)
    return sum(width for _, width in _clusters(text))


def _clusters(text: str) -> Iterator[tuple[str, int]]:
    """Split text into what is drawn in one place, and how many cells that takes: a letter with its marks."""
    cluster, width = "", 0
    for letter in text:
        own = _letter_wide(letter)
        joins = cluster.endswith(_JOINER) or (width == 2 and "\U0001f3fb" <= letter <= "\U0001f3ff")
        if cluster and own and not joins:
            yield cluster, width
            cluster, width = "", 0
        cluster += letter
        if letter == _EMOJI_STYLE and width:
            width = 2
        elif not joins:
            width += own
    if cluster:
        yield cluster, width


@lru_cache(maxsize=4096)
def _letter_wide(letter: str) -> int:
    if letter != "\xad" and unicodedata.category(letter) in {"Mn", "Me", "Cf"}:
        return 0
    if "\u1160" <= letter <= "\u11ff":
        # Vowels and finals of Korean, drawn into the syllable before them.
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(text: str, width: int, ellipsis: str = ELLIPSIS) -> str:
    """Return the text, or as much of its beginning as fits with an ellipsis."""
    if cells_wide(text) <= width:
        return text
    kept, _ = _begin(text, width - cells_wide(ellipsis))
    return kept.rstrip() + ellipsis if width >= cells_wide(ellipsis) else ellipsis[:width]


def _begin(text: str, width: int) -> tuple[str, str]:
    """Split text in front of what does not fit any more."""
    if text.isascii():
        return text[: max(0, width)], text[max(0, width) :]
    kept, used = 0, 0
    for cluster, wide in _clusters(text):
        if used + wide > width:
            break
        kept, used = kept + len(cluster), used + wide
    return text[:kept], text[kept:]


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return text with spaces behind it, or in front where it stands flush right."""
    if text.isascii():
        return text.rjust(width) if right else text.ljust(width)
    space = " " * (width - cells_wide(text))
    return space + text if right else text + space


def fold(text: str, width: int, *, breaks_words: bool = True) -> list[str]:
    """Return text as lines of at most ``width`` cells, the spaces between two lines left out.

    A line ends at a space; with ``breaks_words`` also after a slash, comma or hyphen, and where there is none of
    these, anywhere. Without, a longer word stands alone and keeps its length, as a path does that somebody copies.
    """
    lines: list[str] = []
    rest = text
    while cells_wide(rest) > width:
        place = _line_end(rest, width, breaks_words)
        if place is None:
            break
        lines.append(rest[:place].rstrip(" "))
        rest = rest[place:].lstrip(" ")
    return [*lines, rest]


def _line_end(text: str, width: int, breaks_words: bool) -> int | None:
    """Return where the first line ends; None where the rest is one word."""
    fitting = len(_begin(text, width)[0])
    start = len(text) - len(text.lstrip(" "))
    space = text.rfind(" ", start, fitting + 1)
    if space >= start and text[:space].strip(" "):
        return space
    if not breaks_words:
        after = text.find(" ", max(start, fitting))
        return None if after < 0 else after
    for marks in _BREAKS_AFTER:
        if near := max(text.rfind(mark, 0, fitting) for mark in marks) + 1:
            return near
    return max(1, fitting)
