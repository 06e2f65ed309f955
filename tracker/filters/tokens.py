"""A filter's text, split into tokens."""

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
    """A word of a filter: ``kind`` is number, text, name, sign or end; ``at`` is its place in the text."""

    kind: str
    text: str
    at: int

    @property
    def word(self) -> str | None:
        """The keyword or sign, in lower case; None for other tokens."""
        low = self.text.lower()
        return low if self.kind == "sign" or (self.kind == "name" and low in WORDS) else None


def tokenize(text: str) -> list[Token]:
    """Split a filter into tokens; the last one is of kind "end".

    Raises:
        WhereError: for a character that does not begin a token.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise wrong(text, at, _unreadable(text[at]))
        if match.lastgroup != "space":
            tokens.append(Token(str(match.lastgroup), match.group(), at))
        at = match.end()
    return [*tokens, Token("end", "the end", len(text))]


def _unreadable(letter: str) -> str:
    if letter in "'\"":
        return "A quote is not closed: 'text' stands in single quotes, \"a name\" in double ones."
    if letter.isdigit() or letter in "+-.":
        return "A number cannot be read: write 0.3, 1e-3 or inf; text stands in 'single quotes'."
    return f"{letter!r} has no meaning in a filter."
