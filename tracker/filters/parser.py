"""Tokens into a tree, by precedence: or, and, not, test."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tracker.errors import BadValue, WhereError, nearest
from tracker.filters.tree import (
    FUNCTIONS,
    SCOPES,
    All,
    Comparison,
    Either,
    Field,
    In,
    Is,
    Like,
    Literal,
    Not,
    SortKey,
    Tree,
    wrong,
)
from tracker.values import brief, clean_text

WORDS = ("and", "or", "not", "like", "in", "is", "null", "true", "false", "nan", "inf")
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<number>[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]) | [+-](?i:inf)\b)
    | (?P<text>'(?:[^']|'')*')
    | (?P<moment>(?i:now|today|yesterday)\b(?:\s*-\s*\d+\s*(?i:[a-z]+))?(?![\w/@.(-]))
    | (?P<name>[^\W\d][\w/@-]*(?:\.(?:[\w/@-]+|"(?:[^"]|"")*"))* | "(?:[^"]|"")*")
    | (?P<sign><=|>=|==|!=|<>|[<>=(),])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """A word of a filter: ``kind`` is number, text, moment, name, sign or end; ``at`` is its place in the text."""

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
    return (
        f'{letter!r} has no meaning here: a name that has it stands in double quotes, "like this".'
    )


MOST_TERMS = 400
"""More are refused: databases limit the depth and the values of one statement."""
LONGEST_FILTER = 100_000
"""Characters of a filter, or of a sort key."""
_MOST_NESTED = 50
_SIGNS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=": "=", "==": "=", "!=": "!=", "<>": "!="}
_VALUES = {"true", "false", "nan", "inf"}
_A_COMPARISON = "a comparison (< <= > >= = !=)"
_SORT_KEY = re.compile(r'(?:"(?:[^"]|"")*"|\([^()]*\)|[^,])+')
_DIRECTION = re.compile(r":(asc|desc)\s*$", re.IGNORECASE)


def parse(text: str) -> Tree:
    """Read a filter.

    Raises:
        WhereError: with a caret under the place, and what was expected there.
    """
    text = _of_bounded_length(text, "filter")
    if not text.strip():
        raise wrong(text, 0, "The filter is empty: write for instance val_loss < 0.3.")
    parser = _Parser(text)
    tree = parser.either()
    parser.end("and, or, or the end")
    return tree


def parse_order(order_by: str | Iterable[str]) -> list[SortKey]:
    """Read sort keys: ``val_loss``, ``-started``, ``last(loss):desc``; several with commas.

    Raises:
        WhereError: for a key that names no field.
    """
    if isinstance(order_by, str) or not isinstance(order_by, Iterable):
        order_by = [order_by]
    texts = [_of_bounded_length(text, "sort key") for text in order_by]
    return [
        _sort_key(match.group().strip()) for text in texts for match in _SORT_KEY.finditer(text)
    ]


def _of_bounded_length(text: str, what: str) -> str:
    """Refuse what is not text, or would take seconds to read; lone surrogates become what they are stored as."""
    if not isinstance(text, str):
        raise BadValue(f"The {what} is {brief(text)} ({type(text).__name__}): it must be text.")
    if len(text) > LONGEST_FILTER:
        raise wrong(text, 0, f"The {what} has {len(text)} characters, of at most {LONGEST_FILTER}.")
    return clean_text(text)


def _sort_key(text: str) -> SortKey:
    direction = "reversed" if text.startswith("-") else None
    body = text.removeprefix("-")
    if suffix := _DIRECTION.search(body):
        direction, body = suffix.group(1).lower(), body[: suffix.start()]
    parser = _Parser(body)
    field = parser.field()
    parser.end("a comma, :asc, :desc or the end")
    return SortKey(field, direction, body)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._place = 0
        self._terms = 0
        self._nested = 0

    @property
    def _now(self) -> Token:
        return self._tokens[self._place]

    def _next(self) -> Token:
        token = self._now
        self._place += 1
        return token

    @property
    def _is_text(self) -> bool:
        """Whether text in quotes is next; where no name can stand, double ones do as well."""
        return self._now.kind == "text" or self._now.text.startswith('"')

    def _took(self, *words: str) -> str | None:
        word = self._now.word
        if word not in words:
            return None
        self._place += 1
        return word

    def _expected(self, what: str) -> WhereError:
        token = self._now
        actual = token.text if token.kind == "end" else repr(token.text[:40])
        return wrong(self._text, token.at, f"Expected {what}, found {actual}.")

    def end(self, what: str) -> None:
        if self._now.kind != "end":
            raise self._expected(what)

    def either(self) -> Tree:
        terms = [self._all()]
        while self._took("or"):
            terms.append(self._all())
        return terms[0] if len(terms) == 1 else Either(tuple(terms))

    def _all(self) -> Tree:
        terms = [self._one()]
        while self._took("and"):
            terms.append(self._one())
        return terms[0] if len(terms) == 1 else All(tuple(terms))

    def _one(self) -> Tree:
        self._nested += 1
        if self._nested > _MOST_NESTED:
            raise wrong(self._text, self._now.at, f"More than {_MOST_NESTED} levels deep.")
        if self._took("not"):
            tree: Tree = Not(self._one())
        elif self._took("("):
            tree = self.either()
            if not self._took(")"):
                raise self._expected("and, or, or )")
        else:
            tree = self._test()
        self._nested -= 1
        return tree

    def _test(self) -> Tree:
        place = self._now.at
        left = self._side()
        sign = self._took(*_SIGNS)
        if sign is not None:
            right = self._side()
            if isinstance(left, Literal) and isinstance(right, Literal):
                raise wrong(self._text, place, "Two values are compared: name a field.")
            return Comparison(left, _SIGNS[sign], right)
        if isinstance(left, Literal):
            raise self._expected(_A_COMPARISON)
        return self._special(left)

    def _special(self, field: Field) -> Tree:
        if self._took("is"):
            negated = self._took("not")
            what = self._took("null", "nan")
            if what is None:
                raise self._expected("null or nan" if negated else "null, nan or not")
            return Not(Is(field, what)) if negated else Is(field, what)
        negated = self._took("not")
        tree: Tree
        if self._took("like"):
            if not self._is_text:
                raise self._expected("a pattern such as 'dig%', in quotes")
            tree = Like(field, self._literal())
        elif self._took("in"):
            tree = In(field, self._values())
        else:
            raise self._expected("like or in" if negated else f"{_A_COMPARISON}, like, in or is")
        return Not(tree) if negated else tree

    def _values(self) -> tuple[Literal, ...]:
        if not self._took("("):
            raise self._expected("( and values")
        values = [self._literal()]
        while self._took(","):
            values.append(self._literal())
        if not self._took(")"):
            raise self._expected("a comma or )")
        return tuple(values)

    def _side(self) -> Field | Literal:
        token = self._now
        if token.kind in {"number", "text", "moment"} or token.word in _VALUES:
            return self._literal()
        return self.field()

    def _literal(self) -> Literal:
        token = self._now
        value: float | int | str | bool
        if token.text.startswith('"'):
            value = _unquoted(token.text)
        elif token.kind == "text":
            value = token.text[1:-1].replace("''", "'")
        elif token.kind == "moment":
            value = token.text
        elif token.kind == "number":
            value = _number(token.text)
        elif token.word in {"true", "false"}:
            value = token.word == "true"
        elif token.word in {"nan", "inf"}:
            value = float(token.word)
        else:
            raise self._expected("a value: a number, 'text', true or false")
        self._next()
        self._count(token)
        return Literal(value, token.text, token.at)

    def field(self) -> Field:
        """Read a name, or a function of one."""
        token = self._now
        if token.kind != "name" or token.word is not None:
            raise self._expected("a field (a run's column, a metric, params.NAME or tags.NAME)")
        self._next()
        self._count(token)
        if not self._took("("):
            return _field(token, None)
        function = token.text.lower()
        if function not in FUNCTIONS:
            hint = nearest(function, FUNCTIONS, what="there are", most=len(FUNCTIONS))
            raise wrong(self._text, token.at, f"There is no function {token.text!r}: {hint}")
        name = self._now
        if name.kind != "name":
            raise self._expected("the name of a metric")
        self._next()
        if not self._took(")"):
            raise self._expected(")")
        return _field(name, function)

    def _count(self, token: Token) -> None:
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise wrong(self._text, token.at, f"More than {MOST_TERMS} fields and values.")


def _number(text: str) -> float | int:
    if text.lower().endswith("inf"):
        return float(text)
    try:
        integer = int(text) if len(text) < 20 else None
    except ValueError:
        integer = None
    if integer is None or abs(integer) >= 2**63:
        return float(text.replace("_", ""))
    return integer


def _field(token: Token, function: str | None) -> Field:
    if token.text.startswith('"'):
        return Field(_unquoted(token.text), None, function, token.at, quoted=function is None)
    scope, dot, name = token.text.partition(".")
    if dot and scope in SCOPES:
        return Field(_unquoted(name), scope, function, token.at)
    return Field(token.text, None, function, token.at)


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
