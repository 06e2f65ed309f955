"""Curves drawn with characters."""

from __future__ import annotations

import math

import pytest

from tracker.cli.chart import Curve, Paper, Symbol, draw
from tracker.cli.measure import cells_wide

FALLING = Curve([0, 1, 2, 3], [0.8, 0.4, 0.2, 0.1])


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("curves", [1, 3])
def test_no_line_is_wider_than_the_paper(columns: int, plain: bool, curves: int) -> None:
    lines = draw([FALLING] * curves, Paper(columns, 10, plain=plain))
    assert max(map(cells_wide, lines)) <= columns
    assert len(lines) == 10
    assert all(map(str.isascii, lines)) is plain


def test_a_falling_curve_falls() -> None:
    top, *_, bottom, _, _ = draw([FALLING], Paper(40, 8, plain=True))
    assert top.rstrip().endswith(".") and top.index(".", 6) < 12
    assert bottom.rstrip().endswith(".")
    assert len(bottom.rstrip()) == 40


def test_there_is_no_epoch_between_two() -> None:
    assert draw([FALLING], Paper(80, 8))[-1].split() == ["0", "1", "2", "3"]
    fractions = draw([FALLING], Paper(80, 8, whole=False))[-1].split()
    assert fractions == ["0", "0.5", "1", "1.5", "2", "2.5", "3"]


@pytest.mark.parametrize(
    ("values", "logarithmic", "labels"),
    [
        ([0.0, 1.0], False, ["1", "0.5", "0"]),
        ([1e-4, 1.0], True, ["1", "0.01", "0.0001"]),
        ([3.0, 4.0], True, ["4", "3.5", "3"]),
        ([7.0, 7.0], False, ["7", "7"]),
    ],
)
def test_the_vertical_axis_has_round_numbers(
    values: list[float], logarithmic: bool, labels: list[str]
) -> None:
    lines = draw([Curve([0, 1], values)], Paper(40, 11, logarithmic=logarithmic))[:-2]
    assert [line.split()[0] for line in lines if line[0] != " " or "┤" in line] == labels


def test_all_symbols_of_one_place_are_seen() -> None:
    symbols = [Symbol(1, 0.4, letter) for letter in "*RXvo"]
    text = "\n".join(draw([Curve(FALLING.x, FALLING.y, symbols)], Paper(40, 12)))
    assert all(letter in text for letter in "*RXvo")


def test_what_is_not_finite_is_a_gap() -> None:
    y = [1.0, 1.0, math.nan, 1.0, math.inf]
    row = next(
        line for line in draw([Curve(range(5), y)], Paper(47, 4, plain=True)) if "." in line[6:]
    )
    left, _, right = row[row.index("|") + 1 :].partition("  ")
    assert (set(left), set(right.strip())) == ({"."}, {"."})
    assert len(right.strip()) < 3


@pytest.mark.parametrize(
    "y", [[], [math.nan], [1.0], [-1.0, 0.0], [5e-324, 1.7e308], [1e300, -1e300]]
)
@pytest.mark.parametrize("logarithmic", [True, False])
def test_odd_values_are_drawn_all_the_same(y: list[float], logarithmic: bool) -> None:
    lines = draw([Curve(range(len(y)), y)], Paper(40, 8, logarithmic=logarithmic))
    assert len(lines) == 8


def test_curves_have_their_own_colours_or_markers() -> None:
    other = Curve([0, 1, 2, 3], [0.1, 0.2, 0.4, 0.8])
    plain = "\n".join(draw([FALLING, other], Paper(40, 8)))
    assert "•" in plain and "+" in plain and "\x1b" not in plain
    coloured = "\n".join(draw([FALLING, other], Paper(40, 8, coloured=True)))
    assert "\x1b[36m" in coloured and "\x1b[33m" in coloured
