"""Curves drawn with characters: as lines of text, no wider than they may be. Needs nothing but a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import NamedTuple

import click

COLOURS = ("cyan", "yellow", "magenta", "green", "red", "blue")
MARKERS = ("•", "+", "#", "=", "%", "~")
PLAIN_MARKERS = (".", "+", "#", "=", "%", "~")
"""What curves are drawn with where there are no colours, or only ASCII."""

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bits of a braille character: by row from above, then by column."""
_SHIFTS = (0, -1, 1, -2, 2, -3, 3)
"""Rows that a symbol is moved by where another one stands already."""
_ROWS_PER_TICK = 4
_COLUMNS_PER_TICK = 12
_STEPS = (1, 2, 5, 10)


class Symbol(NamedTuple):
    """A letter at a place of a curve."""

    x: float
    y: float
    letter: str


@dataclass(frozen=True)
class Curve:
    """Points in the order of x; where y is not finite the line has a gap."""

    x: Sequence[float]
    y: Sequence[float]
    symbols: Sequence[Symbol] = ()


@dataclass(frozen=True)
class Paper:
    """What is drawn on.

    Attributes:
        columns, rows: its size with axes and labels, in cells of the terminal.
        coloured: whether curves are told apart by colours; else, where there are several, by `MARKERS`.
        plain: whether only ASCII can be shown.
        logarithmic: whether the vertical axis is; what is not above 0 is left out then.
        whole: whether there is nothing between two whole numbers of the horizontal axis.
    """

    columns: int
    rows: int
    coloured: bool = False
    plain: bool = False
    logarithmic: bool = False
    whole: bool = True

    def marker(self, place: int) -> str:
        """Return what the legend shows of a curve."""
        markers = PLAIN_MARKERS if self.plain else MARKERS
        return "⣀⣀" if self.coloured and not self.plain else markers[place % len(markers)]

    def colour(self, place: int) -> str | None:
        """Return a curve's colour."""
        return COLOURS[place % len(COLOURS)] if self.coloured else None


class _Scale:
    """Values along an axis, as places from 0 to 1."""

    def __init__(self, values: Sequence[float], *, logarithmic: bool = False) -> None:
        self._logarithmic = logarithmic
        self.low, self.high = min(values, default=0.0), max(values, default=1.0)
        low, high = self._of(self.low), self._of(self.high)
        if low == high:
            low, high = low - (abs(low) or 1.0) / 10, high + (abs(high) or 1.0) / 10
        self._from, self._span = low, high - low

    def _of(self, value: float) -> float:
        return math.log10(value) if self._logarithmic else value

    def place(self, value: float) -> float:
        return (self._of(value) - self._from) / self._span

    def ticks(self, most: int, *, whole: bool = False) -> list[float]:
        """Return a few round values from the lowest to the highest."""
        if self._logarithmic and self.high / self.low >= 10:
            first, last = math.floor(self._from), math.ceil(self._from + self._span)
            every = max(1, -(-(last - first) // most))
            values = (10.0**power for power in range(first, last + 1, every))
            return [value for value in values if self.low <= value <= self.high]
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        size = 10.0 ** math.floor(math.log10(span / most))
        step = next(size * one for one in _STEPS if span / (size * one) <= most)
        if whole:
            step = max(1.0, step)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


@dataclass
class _Canvas:
    """Cells by row and column: dots of the curve that was drawn last there, and symbols."""

    columns: int
    rows: int
    paper: Paper
    fine: bool
    dots: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    letters: dict[tuple[int, int], tuple[str, int]] = field(default_factory=dict)

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """Return the finest row and column of a place."""
        across, down = (2, 4) if self.fine else (1, 1)
        column = round(x * (self.columns * across - 1))
        return round((1 - y) * (self.rows * down - 1)), column

    def dot(self, row: int, column: int, curve: int) -> None:
        """Set the finest dot there."""
        if not self.fine:
            self.dots[row, column] = 0, curve
            return
        place = row // 4, column // 2
        bits, owner = self.dots.get(place, (0, curve))
        self.dots[place] = (bits if owner == curve else 0) | _DOTS[row % 4][column % 2], curve

    def line(self, one: tuple[int, int], other: tuple[int, int], curve: int) -> None:
        """Set the dots between two."""
        steps = max(abs(other[0] - one[0]), abs(other[1] - one[1]), 1)
        for step in range(steps + 1):
            share = step / steps
            row = round(one[0] + share * (other[0] - one[0]))
            self.dot(row, round(one[1] + share * (other[1] - one[1])), curve)

    def letter(self, x: float, y: float, letter: str, curve: int) -> None:
        """Set a symbol; beside another one, where one stands there."""
        row, column = self.cell(x, y)
        row, column = (row // 4, column // 2) if self.fine else (row, column)
        for shift in _SHIFTS:
            place = row + shift, column
            if 0 <= place[0] < self.rows and place not in self.letters:
                self.letters[place] = letter, curve
                return

    def text(self, row: int) -> str:
        """Return a row, with colours where the paper has them."""
        cells = (self._shown(row, column) for column in range(self.columns))
        parts = groupby(cells, key=lambda cell: cell[1:])
        text = "".join(_styled("".join(one[0] for one in some), *style) for style, some in parts)
        return text if self.paper.coloured else text.rstrip()

    def _shown(self, row: int, column: int) -> tuple[str, str | None, bool]:
        if (row, column) in self.letters:
            letter, curve = self.letters[row, column]
            return letter, self.paper.colour(curve), True
        if (row, column) not in self.dots:
            return " ", None, False
        bits, curve = self.dots[row, column]
        shown = chr(_BRAILLE + bits) if self.fine else self.paper.marker(curve)[0]
        return shown, self.paper.colour(curve), False


def _styled(text: str, colour: str | None, bold: bool) -> str:
    return text if colour is None else click.style(text, fg=colour, bold=bold)


def draw(curves: Sequence[Curve], paper: Paper) -> list[str]:
    """Return the curves with their axes, line by line, from above; no line is wider than the paper."""
    known = [_known(curve, paper) for curve in curves]
    xs = [x for points in known for x, y in points if y is not None]
    ys = [y for points in known for _, y in points if y is not None]
    across, up = _Scale(xs), _Scale(ys or [1.0], logarithmic=paper.logarithmic)
    rows = max(3, paper.rows - 2)
    labels = _y_labels(up, rows)
    wide = max(map(len, labels.values()))
    columns = max(4, paper.columns - wide - 2)
    fine = not paper.plain and (paper.coloured or len(curves) == 1)
    canvas = _Canvas(columns, rows, paper, fine)
    for place, points in enumerate(known):
        _draw_curve(canvas, points, place, across, up)
    for place, curve in enumerate(curves):
        for symbol in curve.symbols:
            if _is_shown(symbol.y, paper):
                canvas.letter(across.place(symbol.x), up.place(symbol.y), symbol.letter, place)
    side, corner = ("|", "+") if paper.plain else ("┤", "└")
    bare = "|" if paper.plain else "│"
    lines = [
        f"{labels.get(row, ''):>{wide}} {side if row in labels else bare}{canvas.text(row)}"
        for row in range(rows)
    ]
    rule, names = _x_axis(across, columns, paper)
    return [*lines, f"{'':>{wide}} {corner}{rule}", f"{'':>{wide}}  {names}".rstrip()]


def _is_shown(y: float, paper: Paper) -> bool:
    return math.isfinite(y) and (y > 0 or not paper.logarithmic)


def _known(curve: Curve, paper: Paper) -> list[tuple[float, float | None]]:
    return [(x, y if _is_shown(y, paper) else None) for x, y in zip(curve.x, curve.y, strict=True)]


def _draw_curve(
    canvas: _Canvas,
    points: Sequence[tuple[float, float | None]],
    curve: int,
    across: _Scale,
    up: _Scale,
) -> None:
    cells = [None if y is None else canvas.cell(across.place(x), up.place(y)) for x, y in points]
    for one in cells:
        if one is not None:
            canvas.dot(*one, curve)
    for one, other in pairwise(cells):
        if one is not None and other is not None:
            canvas.line(one, other, curve)


def _y_labels(scale: _Scale, rows: int) -> dict[int, str]:
    labels: dict[int, str] = {}
    for value in scale.ticks(max(2, rows // _ROWS_PER_TICK)):
        labels.setdefault(round((1 - scale.place(value)) * (rows - 1)), f"{value:.6g}")
    if len(labels) < 2:
        # Too narrow for round values.
        labels = {rows - 1: f"{scale.low:.4g}", 0: f"{scale.high:.4g}"}
    return labels


def _x_axis(scale: _Scale, columns: int, paper: Paper) -> tuple[str, str]:
    """Return the rule with its ticks, and the numbers below it."""
    dash, tick = ("-", "+") if paper.plain else ("─", "┬")
    rule, names = [dash] * columns, ""
    for value in scale.ticks(max(1, columns // _COLUMNS_PER_TICK), whole=paper.whole):
        column = round(scale.place(value) * (columns - 1))
        name = f"{value:,.0f}" if paper.whole else f"{value:.6g}"
        start = max(0, min(column - len(name) // 2, columns - len(name)))
        if names and start < len(names) + 2:
            continue
        rule[column] = tick
        names = names.ljust(start) + name
    return "".join(rule), names


def legend_marker(paper: Paper, place: int) -> str:
    """Return what stands before a curve's name in a legend, in its colour."""
    return _styled(paper.marker(place), paper.colour(place), False)
