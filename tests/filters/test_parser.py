"""Filters and sort keys: what is read, and how the rest is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.errors import WhereError
from tracker.filters.parser import parse, parse_order
from tracker.filters.tree import All, Comparison, Either, Field, In, Is, Like, Literal, Not


def names(tree: object) -> object:
    """Write a tree as nested text, so that a test reads at a glance."""
    if isinstance(tree, Either | All):
        return (type(tree).__name__, *map(names, tree.terms))
    if isinstance(tree, Not):
        return ("Not", names(tree.term))
    assert isinstance(tree, Comparison)
    assert isinstance(tree.left, Field)
    return tree.left.name


def test_and_binds_tighter_than_or_and_not_tighter_than_and() -> None:
    assert names(parse("a=1 or b=1 and not c=1 and d=1")) == (
        "Either", "a", ("All", "b", ("Not", "c"), "d"),
    )  # fmt: skip


def test_parentheses_go_first() -> None:
    assert names(parse("(a=1 or b=1) and c=1")) == ("All", ("Either", "a", "b"), "c")


def test_words_may_be_written_in_any_case() -> None:
    assert parse("a = 1 AND b IS NOT NULL") == parse("a = 1 and b is not null")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.3", 0.3), ("1e-3", 1e-3), (".5", 0.5), ("-2", -2), ("1_000", 1000), ("-inf", -float("inf")),
        ("'it''s'", "it's"), ("true", True), ("99999999999999999999", 1e20),
    ],
)  # fmt: skip
def test_a_value_is_a_number_a_text_or_a_flag(text: str, value: object) -> None:
    tree = parse(f"x = {text}")
    assert isinstance(tree, Comparison)
    assert isinstance(tree.right, Literal)
    assert (tree.right.value, type(tree.right.value)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("val_loss", ("val_loss", None, None)),
        ("train/loss", ("train/loss", None, None)),
        ('"a b"', ("a b", None, None)),
        ('"say ""hi"""', ('say "hi"', None, None)),
        ("params.lr", ("lr", "params", None)),
        ("params.optimizer.name", ("optimizer.name", "params", None)),
        ('tags."a b"', ("a b", "tags", None)),
        ("metrics.name", ("name", "metrics", None)),
        ("run.status", ("status", "run", None)),
        ("last(val_loss)", ("val_loss", None, "last")),
        ('min("x/y z")', ("x/y z", None, "min")),
        ("hits@10", ("hits@10", None, None)),
    ],
)
def test_a_field_is_a_name_with_scope_or_function(text: str, field: tuple[str, ...]) -> None:
    tree = parse(f"{text} > 0")
    assert isinstance(tree, Comparison)
    assert isinstance(tree.left, Field)
    assert (tree.left.name, tree.left.scope, tree.left.function) == field


def test_special_tests_are_read() -> None:
    assert isinstance(parse("name like 'd%'"), Like)
    assert isinstance(parse("name in ('a', 'b')"), In)
    assert isinstance(parse("x is nan"), Is)
    for text in ("name not like 'd%'", "name not in ('a')", "x is not null"):
        assert isinstance(parse(text), Not)


def test_both_sides_may_be_fields() -> None:
    tree = parse("last(val_loss) > best(val_loss)")
    assert isinstance(tree, Comparison)
    assert isinstance(tree.right, Field)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("val_loss <", 10, "Expected a field"),
        ("a = 1 b", 6, "Expected and, or, or the end, found 'b'"),
        ("(a = 1", 6, "Expected and, or, or )"),
        ("1 = 1", 0, "Two values are compared"),
        ("a", 1, "Expected a comparison (< <= > >= = !=), like, in or is"),
        ("a in ()", 6, "Expected a value"),
        ("a is 3", 5, "Expected null, nan or not"),
        ("a like 3", 7, "Expected a pattern"),
        ("a not 3", 6, "Expected like or in"),
        ("mean(a) > 1", 0, "There is no function 'mean': did you mean min"),
        ("a = 'x", 4, "A quote is not closed"),
        ("a = 1.2.3", 4, "A number cannot be read"),
        ("a = 1 ; drop table run", 6, "';' has no meaning"),
        ("", 0, "The filter is empty"),
    ],
)
def test_what_cannot_be_read_is_shown_with_a_caret(text: str, place: int, said: str) -> None:
    with pytest.raises(WhereError) as caught:
        parse(text)
    message, shown, caret = str(caught.value).split("\n")
    assert said in message
    assert shown == f"  {text}"
    assert caret == " " * (place + 2) + "^"


def test_a_long_filter_is_shown_around_the_place() -> None:
    with pytest.raises(WhereError) as caught:
        parse(" or ".join(["some_metric = 1"] * 30) + " or or " + "x = 1 and " * 30)
    _, shown, caret = str(caught.value).split("\n")
    assert len(shown) < 100
    assert shown[caret.index("^") :].startswith("or x")


def test_what_a_database_could_not_take_is_refused() -> None:
    with pytest.raises(WhereError, match="levels deep"):
        parse("(" * 60 + "a = 1" + ")" * 60)
    with pytest.raises(WhereError, match="levels deep"):
        parse("not " * 5000 + "a = 1")
    with pytest.raises(WhereError, match="fields and values"):
        parse(" or ".join(["a = 1"] * 500))


@settings(max_examples=500, deadline=None)
@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (parse, parse_order):
        try:
            read(text)
        except WhereError as error:
            assert "\n" in str(error)


FRAGMENTS = st.sampled_from(
    ["a", "params.lr", "(", ")", "and", "or", "not", "<", "=", "1", "'x'", "in", "is", "null", ","]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(FRAGMENTS, max_size=12))
def test_any_row_of_words_is_read_or_refused(words: list[str]) -> None:
    test_any_text_is_read_or_refused.hypothesis.inner_test(" ".join(words))


def test_sort_keys_have_a_direction_and_stand_between_commas() -> None:
    keys = parse_order('val_loss, -started,last("a,b"):DESC, params.lr:asc')
    assert [(key.field.name, key.direction) for key in keys] == [
        ("val_loss", None), ("started", "reversed"), ("a,b", "desc"), ("lr", "asc"),
    ]  # fmt: skip
    assert parse_order(["a,b", "c"]) == parse_order("a,b") + parse_order("c")


def test_a_sort_key_that_is_no_field_is_refused() -> None:
    for text in ("3", "a b", "-", "val_loss desc", "a = 1"):
        with pytest.raises(WhereError):
            parse_order(text)


@pytest.mark.parametrize("read", [parse, parse_order])
def test_what_would_take_seconds_to_read_is_refused(read: object) -> None:
    with pytest.raises(WhereError, match="10000000 characters, of at most") as error:
        read("x" * 10_000_000)  # type: ignore[operator]
    assert len(str(error.value)) < 500


def test_a_long_name_is_not_echoed_whole() -> None:
    with pytest.raises(WhereError) as error:
        parse(f"{'x' * 50_000} 1")
    assert len(str(error.value)) < 2000


def test_a_lone_surrogate_is_what_it_was_stored_as() -> None:
    """A database takes none: PostgreSQL's driver raised an error of its own."""
    assert parse("name = '\ud800'") == parse("name = '\\ud800'")
