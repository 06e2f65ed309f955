"""Filters and sort keys as bound SQL."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Select, and_, false, func, not_, or_
from sqlalchemy.sql.elements import ColumnElement

from tracker.errors import WhereError, nearest
from tracker.filters.dates import FORMS, moment
from tracker.filters.fields import Fields, row_count
from tracker.filters.parser import parse, parse_order
from tracker.filters.targets import FLAG, NUMBER, PARAMETER, TEXT, TIME, Place
from tracker.filters.tree import (
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
from tracker.values import clean_text, whole

Condition = ColumnElement[bool]

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq,
}  # fmt: skip
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


def condition(where: str | None, fields: Fields) -> Condition | None:
    """Return a filter as a condition; None for no filter.

    Raises:
        WhereError: with a caret under what cannot be read, is not known, or cannot be compared.
    """
    return None if where is None else _Compiler(where, fields).condition(parse(where))


def counting(where: str, fields: Fields) -> Select[Any] | None:
    """Return the statement that counts the runs which pass a filter, where an index alone can say it.

    So it is with one comparison of a metric, a param or a tag: a run has one row of each. None for other filters.
    ``fields`` are of no other use then.
    """
    tree = parse(where)
    if not isinstance(tree, Comparison) or tree.sign == "!=":
        return None
    asked: list[Select[Any]] = []

    def note(ids: Select[Any]) -> bool:
        asked.append(ids)
        return True

    fields.is_rare = note
    _Compiler(where, fields).condition(tree)
    if len(asked) != 1:
        return None
    return row_count(asked[0])


def ordering(order_by: str | Iterable[str] | None, fields: Fields) -> list[tuple[Place, bool]]:
    """Return the sort keys' places, and whether each is sorted from high to low.

    A metric is sorted best first; ``-`` reverses a key, ``:asc`` and ``:desc`` are literal.
    """
    keys = []
    for key, place in places([] if order_by is None else parse_order(order_by), fields):
        falling = place.falling if key.direction in {None, "reversed"} else key.direction == "desc"
        keys.append((place, falling != (key.direction == "reversed")))
    return keys


def places(keys: Iterable[SortKey], fields: Fields) -> list[tuple[SortKey, Place]]:
    """Return where each key's value is found.

    Raises:
        WhereError: for a name that nothing has.
    """
    return [(key, _Compiler(key.text, fields).place(key.field)) for key in keys]


class _Compiler:
    def __init__(self, text: str, fields: Fields) -> None:
        self._text = text
        self._fields = fields

    def condition(self, tree: Tree) -> Condition:
        if isinstance(tree, Either):
            return or_(*map(self.condition, tree.terms))
        if isinstance(tree, All):
            return and_(*map(self.condition, tree.terms))
        if isinstance(tree, Not):
            return not_(self.condition(tree.term))
        if isinstance(tree, Is):
            place = self.place(tree.field)
            if tree.what == "null":
                return not_(place.present())
            return self._nan(place, tree.field, tree.field.at)
        if isinstance(tree, Like):
            return self._like(tree)
        if isinstance(tree, In):
            place = self.place(tree.field)
            return or_(*(self._equal(place, tree.field, value) for value in tree.values))
        return self._comparison(tree)

    def place(self, field: Field) -> Place:
        place = self._fields.find(field)
        if place is None:
            raise wrong(self._text, field.at, self._fields.unknown(field))
        return place

    def _comparison(self, tree: Comparison) -> Condition:
        left, sign, right = tree.left, tree.sign, tree.right
        if isinstance(left, Literal) or self._is_text_beside(left, right):
            left, sign, right = right, _FLIPPED[sign], left
        assert isinstance(left, Field)
        place = self.place(left)
        if isinstance(right, Field) and right.quoted and not self._fits(place, right):
            right = Literal(right.name, f'"{right.name}"', right.at)
        if isinstance(right, Field):
            return self._two_fields(place, sign, right)
        if sign == "!=":
            return not_(self._equal(place, left, right))
        if sign == "=":
            return self._equal(place, left, right)
        return self._ordered(place, left, sign, right)

    def _nan(self, place: Place, field: Field, at: int) -> Condition:
        if place.nan is None:
            name = field.name if field.name.isidentifier() else f'"{field.name}"'
            hint = f": write last({name}) is nan." if place.kind == NUMBER else "."
            raise wrong(self._text, at, f"{field.name} is never nan here{hint}")
        return place.is_nan()

    def _is_text_beside(self, left: Field, right: Field | Literal) -> bool:
        """Return whether ``left`` is text in double quotes that is compared with a field."""
        return isinstance(right, Field) and left.quoted and self._fields.find(left) is None

    def _fits(self, place: Place, field: Field) -> bool:
        """Return whether a quoted name is that of a field which can be compared with ``place``."""
        other = self._fields.find(field)
        return other is not None and _comparable(place, other)

    def _two_fields(self, place: Place, sign: str, field: Field) -> Condition:
        if place.kind == TEXT and field.scope is None and self._fields.find(field) is None:
            raise wrong(
                self._text,
                field.at,
                f"There is no field {field.name!r}; text stands in quotes: '{field.name}'.",
            )
        other = self.place(field)
        if not _comparable(place, other):
            raise wrong(
                self._text,
                field.at,
                f"{field.name} is a {other.kind} and cannot be compared with a {place.kind}.",
            )
        equal = _OPERATORS["=" if sign == "!=" else sign](place.column, other.column)
        holds: Condition = func.coalesce(equal, false())
        return not_(holds) if sign == "!=" else holds

    def _equal(self, place: Place, field: Field, literal: Literal) -> Condition:
        if isinstance(literal.value, float) and math.isnan(literal.value):
            return self._nan(place, field, literal.at)
        if place.kind == TEXT and not isinstance(literal.value, str):
            if place.words is not None:
                self._word(place.words, field, literal, literal.source)
            return place.holds(lambda value: value == literal.source)
        return self._ordered(place, field, "=", literal)

    def _ordered(self, place: Place, field: Field, sign: str, literal: Literal) -> Condition:
        apply, value = _OPERATORS[sign], self._value(place, field, literal)
        if place.kind != PARAMETER:
            return place.holds(lambda column: apply(column, value))
        if isinstance(value, bool):
            text = str(value).lower()
            return place.holds(lambda row: (row.kind == "bool") & apply(row.text, text))
        if isinstance(value, str):
            return place.holds(lambda row: apply(row.text, value))
        return place.holds(lambda row: apply(row.number, value))

    def _value(self, place: Place, field: Field, literal: Literal) -> Any:
        value = literal.value
        if isinstance(value, str):
            value = clean_text(value)
            if literal.is_bare_text and place.kind not in {TIME, NUMBER, FLAG}:
                raise self._mismatch(literal, f"{field.name} is not a time: write", f"'{value}'")
            if place.words is not None:
                return self._word(place.words, field, literal, value)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and math.isnan(value):  # type: ignore[arg-type]
            raise self._mismatch(literal, "nothing is less or more than nan: write", "is nan")
        if place.kind == TIME:
            when = moment(value) if isinstance(value, str) else None
            if when is None:
                raise self._mismatch(literal, f"{field.name} is a time: write", FORMS)
            return when
        if place.kind == NUMBER and not is_number:
            raise self._mismatch(literal, f"{field.name} is a number: write", "one such as 0.3")
        if place.kind == TEXT and not isinstance(value, str):
            raise self._mismatch(literal, f"{field.name} is text: write", f"'{literal.source}'")
        if place.kind == FLAG and not isinstance(value, bool):
            raise self._mismatch(literal, f"{field.name} is a flag: write", "true or false")
        return value

    def _word(self, words: tuple[str, ...], field: Field, literal: Literal, value: str) -> str:
        """Return the word of a field that has only some; case and ``-`` for ``_`` do not matter."""
        word = next((one for one in words if _folded(one) == _folded(value)), None)
        if word is None:
            hint = nearest(value.lower(), words, most=len(words))
            shown = literal.source[:40]
            raise wrong(self._text, literal.at, f"No {field.name} is {shown}: {hint}")
        return str(word)

    def _mismatch(self, literal: Literal, why: str, what: str) -> WhereError:
        return wrong(
            self._text, literal.at, f"{literal.source[:40]} cannot be compared: {why} {what}."
        )

    def _like(self, tree: Like) -> Condition:
        place, pattern = self.place(tree.field), clean_text(str(tree.pattern.value))
        if place.kind == PARAMETER:
            return place.holds(lambda row: row.text.ilike(pattern))
        if place.kind != TEXT:
            raise wrong(
                self._text, tree.field.at, f"{tree.field.name} is a {place.kind}: like is for text."
            )
        return place.holds(lambda column: column.ilike(pattern))


def _folded(word: str) -> str:
    return word.strip().lower().replace("-", "_").replace(" ", "_")


def _comparable(one: Place, other: Place) -> bool:
    return one.kind == other.kind or {one.kind, other.kind} <= {NUMBER, PARAMETER}


def check_limit(limit: int | None) -> None:
    """Refuse a limit that is not a number of rows."""
    if limit is not None:
        whole(limit, "limit", least=0, hint="It counts rows; None stands for all.")
