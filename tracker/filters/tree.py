"""What a filter consists of, and the error that points into it."""

from __future__ import annotations

from dataclasses import dataclass

from tracker.errors import WhereError

FUNCTIONS = (
    "best", "min", "max", "last", "best_epoch", "min_epoch", "max_epoch", "last_epoch",
    "best_step", "min_step", "max_step", "last_step",
)  # fmt: skip
SCOPES = ("params", "tags", "captured", "metrics", "run")


@dataclass(frozen=True)
class Literal:
    """A value; ``source`` is as it was written, ``at`` where."""

    value: float | int | str | bool
    source: str
    at: int

    @property
    def is_bare_text(self) -> bool:
        """Whether it is text without quotes: a point in time, such as ``today - 7d``."""
        return isinstance(self.value, str) and not self.source.startswith(("'", '"'))


@dataclass(frozen=True)
class Field:
    """A name: ``scope`` is one of `SCOPES` or None, ``function`` one of `FUNCTIONS` or None.

    ``quoted`` tells a bare name in double quotes, which people also write around text.
    """

    name: str
    scope: str | None
    function: str | None
    at: int
    quoted: bool = False


@dataclass(frozen=True)
class Comparison:
    """``left sign right``; at least one side is a field."""

    left: Field | Literal
    sign: str
    right: Field | Literal


@dataclass(frozen=True)
class Like:
    """``field like 'pattern'``: % is any text, _ any character, case does not matter."""

    field: Field
    pattern: Literal


@dataclass(frozen=True)
class In:
    """``field in (…)``."""

    field: Field
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Is:
    """``field is null`` or ``field is nan``."""

    field: Field
    what: str


@dataclass(frozen=True)
class Not:
    """``not …``."""

    term: Tree


@dataclass(frozen=True)
class Either:
    """``… or …``."""

    terms: tuple[Tree, ...]


@dataclass(frozen=True)
class All:
    """``… and …``."""

    terms: tuple[Tree, ...]


Tree = Comparison | Like | In | Is | Not | Either | All


@dataclass(frozen=True)
class SortKey:
    """A field and its direction: "asc", "desc", "reversed" (a leading minus), or None for the usual one."""

    field: Field
    direction: str | None
    text: str

    @property
    def column(self) -> str:
        """The name of the column that it may mean."""
        is_bare = self.field.scope is None and self.field.function is None
        return self.field.name if is_bare else self.text

    @property
    def falls(self) -> bool:
        """Whether a column is sorted from high to low; without a direction it is not."""
        return self.direction in ("reversed", "desc")


_LONGEST_MESSAGE = 1000
"""Characters: a message names what was typed, which may be long."""


def wrong(text: str, at: int, message: str) -> WhereError:
    """Make the error that shows ``text`` with a caret under the place."""
    flat = "".join(letter if letter.isprintable() else " " for letter in text)
    start = max(0, at - 50)
    before, after = "…" * (start > 0), "…" * (at + 30 < len(flat))
    caret = " " * (len(before) + at - start) + "^"
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}…"
    return WhereError(f"{message}\n  {before}{flat[start : at + 30]}{after}\n  {caret}")
