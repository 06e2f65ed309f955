"""A filter's text, cut into tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tracker.filters.tree import wrong

WORDS = ("and", "or", "not", "like", "in", "is", "null", "true", "false", "nan", "inf")
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<number>[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]) | [+-](?i:inf)\b)
    | (?P<text>'(?:[^']|'')*')
    | (?P<name>[^\W\d][\w/@-]*(?:\.(?:[\w/@-]+|"(?:[^"]|"")*"))* | "(?:[^"]|"")*")
    | (?P<sign><=|>=|==|!=|<>|[<>=(),])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """``kind`` is number, text, name, sign or end."""

    kind: str
    text: str
    at: int

    @property
    def word(self) -> str | None:
        """The keyword or sign that this is, in lower case."""
        low = self.text.lower()
        return low if self.kind == "sign" or (self.kind == "name" and low in WORDS) else None


def tokens(text: str) -> list[Token]:
    """Cut; the last token is of kind "end".

    Raises:
        WhereError: for letters that begin no token.
    """
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise wrong(text, at, _unreadable(text[at]))
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match.group(), at))
        at = match.end()
    return [*found, Token("end", "the end", len(text))]


def _unreadable(letter: str) -> str:
    if letter in "'\"":
        return "A quote is not closed: 'text' stands in single quotes, \"a name\" in double ones."
    if letter.isdigit() or letter in "+-.":
        return "A number cannot be read: write 0.3, 1e-3 or inf; text stands in 'single quotes'."
    return f"{letter!r} has no meaning in a filter."
