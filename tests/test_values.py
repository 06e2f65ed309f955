"""Values become plain at the door, and come back as they went in."""

from __future__ import annotations

import math
import struct
from argparse import Namespace
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import BadValue
from tracker.series.deferred import snapshot
from tracker.values import (
    clean_text,
    from_json,
    join,
    kind_of,
    metric,
    metrics,
    number,
    param_decode,
    param_encode,
    plain,
    split,
    to_json,
    whole,
)


class Color(IntEnum):
    RED = 3


class Optimizer(StrEnum):
    ADAM = "adam"


class Symbolic:
    shape = (None, 3)


class Odd(int):
    def __str__(self) -> str:
        return "odd"


class Shade(Enum):
    DARK = 1


@dataclass
class Nested:
    opt: Namespace
    shade: Shade


class Mute:
    def __repr__(self) -> str:
        raise ZeroDivisionError

    __index__ = __str__ = __repr__  # type: ignore[assignment]


class Angry(float):
    def __float__(self) -> float:
        raise KeyError("no")


CYCLE: dict[str, Any] = {}
CYCLE["itself"] = CYCLE


@pytest.mark.parametrize(
    "value",
    [2, 2.0, True + 1, Decimal(2), Fraction(2), np.float32(2), np.int64(2), np.array([[2]])],
    ids=repr,
)
def test_one_number_of_any_kind_is_a_float(value: object) -> None:
    assert number(value) == 2.0
    assert type(number(value)) is float


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_a_tensor_of_one_element_is_a_float(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.bool):
        assert number(torch.ones(shape, dtype=dtype)) == 1.0
    assert number(torch.ones(shape, requires_grad=True)) == 1.0


@pytest.mark.parametrize(
    "value",
    [
        None, "0.3", b"1", [1.0], {}, (), 1 + 2j, 10**400, 10**5000, Fraction(10**400), Symbolic(),
        Decimal("sNaN"), np.array([]), np.array([1, 2]), np.datetime64("2020-01-01"), np.str_("1"),
        np.array("0.5"), np.array(["0.5"]), np.array([b"0.5"]), np.array(["0.5"], object),
        bytearray(b"1"), memoryview(b"1"), array("b", b"1"), Mute(), Angry(),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_not_one_number_is_refused_by_name(value: object) -> None:
    with pytest.raises(BadValue, match="val_loss"):
        number(value, "val_loss")


@pytest.mark.parametrize(
    "value",
    [Mute(), "1", 1.0, True, np.bool_(True), 10**5000, -(10**5000)],
    ids=["mute", "text", "float", "bool", "NumPy's bool", "+", "-"],
)
def test_what_is_no_whole_number_is_refused_in_one_line(value: object) -> None:
    with pytest.raises(BadValue, match=r"epoch is .{1,200}: it must be a whole number") as raised:
        whole(value, "epoch")
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("text", ["0.5", ["0.5"]])
def test_text_in_a_tensor_is_no_number(text: object) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    with pytest.raises(BadValue, match=r"loss is b'0.5'"):
        number(tensorflow.constant(text), "loss")
    with pytest.raises(BadValue, match=r"loss is .*Ragged"):
        number(tensorflow.ragged.constant([[1.0], [1.0, 2.0]]), "loss")


@pytest.mark.parametrize("value", [np.ma.masked, np.ma.array([0.5], mask=[True])], ids=type)
def test_a_masked_value_is_refused_not_uncovered(value: object) -> None:
    with pytest.raises(
        BadValue, match=r"loss is masked: it has no value\. Leave it out, or log NaN"
    ):
        number(value, "loss")
    assert number(np.ma.array([0.5], mask=[False])) == 0.5


@pytest.mark.parametrize("take", [number, snapshot])
def test_a_finite_value_never_becomes_infinity(take: Callable[[object, str], float]) -> None:
    beyond: list[object] = [Decimal("1e400"), -Decimal("1e400"), 10**400, Fraction(10**400)]
    if np.finfo(np.longdouble).max > np.finfo(np.float64).max:
        beyond += [np.longdouble("1e4000"), np.array(np.longdouble("-1e4000"))]
    for value in beyond:
        with pytest.raises(BadValue, match="loss is beyond what a double holds"):
            take(value, "loss")
    for value in (Decimal("inf"), np.longdouble("inf"), np.float32("inf"), math.inf):
        assert take(value, "loss") == math.inf


@given(st.floats(allow_nan=True, width=64))
def test_every_double_comes_back_to_the_bit(value: float) -> None:
    back = join(*split(value))
    assert back is not None
    assert math.isnan(back) if math.isnan(value) else pack(back) == pack(value)


def pack(value: float) -> bytes:
    return struct.pack("<d", value)


def test_kinds_tell_apart_what_a_database_would_merge() -> None:
    found = [kind_of(value) for value in (0.0, -0.0, math.nan, math.inf, -math.inf)]
    assert found == ["finite", "-0", "nan", "+inf", "-inf"]
    assert split(None) == (None, None)
    assert join(None, None) is None


class Name(str):
    """A text that is written otherwise than it compares."""

    def __str__(self) -> str:
        return f"of {super().__str__()}"


@pytest.mark.parametrize(
    "odd", [0.0, -0.0, math.nan, math.inf, True, 3, np.float32(0.1)], ids=lambda odd: repr(odd)
)
def test_metrics_of_an_epoch_are_those_of_each_of_them(odd: Any) -> None:
    plain = {"loss": 0.5, "acc": 0.9}
    for values in (plain, {**plain, "odd": odd}, {"odd": odd, **plain}, {"odd": odd}, {}):
        expected = [metric(name, value) for name, value in values.items()]
        assert repr(metrics(values)) == repr(expected)
    assert [name for name, _, _ in metrics({"loss": 0.5, Name("acc"): 0.9})] == ["loss", "of acc"]
    assert [name for name, _, _ in metrics({Name("loss"): 0.5, "acc": 0.9})] == ["of loss", "acc"]
    assert metrics({1: 0.5, "ä": 0.9})[0][0] == "1"
    with pytest.raises(BadValue, match="a dict of names and numbers"):
        metrics([0.5])  # type: ignore[arg-type]


@given(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    | st.recursive(st.integers() | st.text("ab"), lambda x: st.lists(x) | st.dictionaries(st.text("k"), x))
)  # fmt: skip
def test_a_parameter_comes_back_as_it_went_in(value: object) -> None:
    kind, text, _ = param_encode(value)
    back = param_decode(kind, text)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "value", [2**63 - 1, -(2**63), 2**63, 10**400, Color.RED, Odd(4)], ids=repr
)
def test_an_integer_of_any_size_is_exact(value: int) -> None:
    kind, text, _ = param_encode(value)
    assert param_decode(kind, text) == int(value)


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (Path("a/b"), "a/b"),
        (Decimal("0.10"), "0.10"),
        (date(2026, 3, 1), "2026-03-01"),
        (b"\x00\xff", "00ff"),
        (Optimizer.ADAM, "adam"),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.longdouble("0.1"), "0.1"),
        (np.array(["0.1", "2"], np.longdouble), ["0.1", "2.0"]),
        (np.ma.masked, None),
        (np.ma.array([0.5], mask=[True]), None),
        (np.ma.array([0.5, 1.0], mask=[True, False]), [None, 1.0]),
        (np.ma.array([0.5], mask=[False]), 0.5),
        (np.arange(3), [0, 1, 2]),
        ({"a": {1}, 2: (None,)}, {"a": [1], "2": [None]}),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        ({"b", 1}, ["b", 1]),
        (deque([1, 2]), [1, 2]),
        (bytearray(b"\x01"), "01"),
        (Shade.DARK, "DARK"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (timedelta(seconds=5), "0:00:05"),
        (Nested(Namespace(lr=0.1), Shade.DARK), {"opt": {"lr": 0.1}, "shade": "DARK"}),
        (range(3), "range(0, 3)"),
        (print, "<built-in function print>"),
        (Mute.__repr__, "<function Mute.__repr__>"),
    ],
    ids=lambda given: type(given).__name__,  # neither an address nor the order of a set
)
def test_other_types_become_the_nearest_plain_one(value: object, back: object) -> None:
    kind, text, _ = param_encode(value)
    assert param_decode(kind, text) == back


@pytest.mark.parametrize("value", [10**5000, [10**5000], CYCLE], ids=["int", "list", "cycle"])
def test_a_parameter_that_cannot_be_kept_is_a_typed_error(value: object) -> None:
    with pytest.raises(BadValue):
        param_encode(value)


@given(st.text(st.characters()))
def test_cleaned_text_fits_both_databases(text: str) -> None:
    clean = clean_text(text)
    assert "\0" not in clean
    clean.encode()
    if text.isprintable():
        assert clean == text


def test_nan_and_infinity_survive_as_data() -> None:
    back = from_json(to_json({"best": math.nan, "limits": [math.inf, -math.inf, -0.0]}))
    assert math.isnan(back["best"])
    assert str(back["limits"]) == "[inf, -inf, -0.0]"


def test_data_without_a_plain_form_is_shown() -> None:
    assert plain({"schedule": Symbolic}) == {"schedule": repr(Symbolic)}
