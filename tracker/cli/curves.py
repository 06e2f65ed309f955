"""Metrics of runs as curves on a terminal, with what happened on the way marked by letters."""

from __future__ import annotations

import math
import shutil
from collections.abc import Collection

from tracker.cli.chart import Curve, Paper, Symbol, draw, legend_marker
from tracker.cli.format import visible
from tracker.cli.measure import cells_wide, cut
from tracker.cli.output import is_coloured, showable, shows_unicode
from tracker.errors import counted
from tracker.exports.picture import best_of, nearest, x_label, y_label
from tracker.queries.lines import Line, Lines

_MOST_ROWS, _FEWEST_ROWS = 22, 6
_LETTERS = {"best": "*", "restored": "R", "stopped": "X", "reduced": "v", "saved": "o"}
"""What is marked on a curve; the first is seen where several fall on one place."""
_WORDS = {
    "*": "best", "R": "weights restored", "X": "stopped", "v": "learning rate reduced", "o": "checkpoint",
}  # fmt: skip


def paper_of(
    most_rows: int = _MOST_ROWS, *, logarithmic: bool = False, whole: bool = True
) -> Paper:
    """Return what is drawn on: as wide as the terminal, with the colours and letters that it has."""
    size = shutil.get_terminal_size()
    return Paper(
        columns=size.columns,
        rows=max(_FEWEST_ROWS, min(most_rows, size.lines - 6)),
        coloured=is_coloured(),
        plain=not shows_unicode(),
        logarithmic=logarithmic,
        whole=whole,
    )


def chart_lines(
    chart: Lines, *, logarithmic: bool = False, most_rows: int = _MOST_ROWS
) -> list[str]:
    """Return a chart as lines of text, as wide as the terminal; with colours only there.

    Below it stand the runs with their best and last values, and what the letters on the curves mean.
    """
    paper = paper_of(most_rows, logarithmic=logarithmic, whole=chart.over != "time")
    # Without colours nobody could tell whose files they are.
    left_out = () if paper.coloured or len(chart.lines) == 1 else ("saved",)
    curves = [Curve(line.x, line.y, _symbols(line, left_out)) for line in chart.lines]
    title = visible(f"{y_label(chart)} by {x_label(chart)}")
    legend = (_legend(paper, place, chart, line) for place, line in enumerate(chart.lines))
    shown = {what for curve in curves for what in curve.symbols}
    used = {mark.letter for mark in shown}
    key = "  ".join(f"{letter} {word}" for letter, word in _WORDS.items() if letter in used)
    return [
        cut(showable(title), paper.columns, showable("…")),
        *draw(curves, paper),
        *legend,
        *([cut(key, paper.columns)] if key else []),
    ]


def _symbols(line: Line, left_out: Collection[str]) -> list[Symbol]:
    """Return the letters of a line, those first that are seen where several fall on one place."""
    found: list[Symbol] = []
    for what, letter in _LETTERS.items() if line.x else ():
        for mark in line.marks:
            if mark.what == what and what not in left_out:
                place = nearest(line.x, mark.x)
                found.append(Symbol(line.x[place], line.y[place], letter))
    return found


def _legend(paper: Paper, place: int, chart: Lines, line: Line) -> str:
    """Return a run's line of the legend: how it is drawn, its name, its best and last value."""
    best, odd = best_of(line), sum(not math.isfinite(y) for y in line.y)
    facts = [] if best is None else [f"best {best[1]:.6g} @ {_at(chart, best[0])}"]
    facts += [f"last {line.y[-1]:.6g}"] if line.y else []
    facts += [f"{counted(odd, 'value')} not finite"] if odd else []
    several = len(chart.lines) > 1
    marker = f"{legend_marker(paper, place)} " if several else ""
    width = paper.columns - (len(paper.marker(place)) + 1 if several else 0)
    tail = "  ".join(["", *facts])
    name = cut(showable(visible(line.run)), max(8, width - cells_wide(tail)), showable("…"))
    return f"{marker}{cut(name + tail, width, showable('…'))}"


def _at(chart: Lines, x: float) -> str:
    if chart.over == "time":
        return f"{x:.3g} {chart.unit}"
    return f"{x:.0f}" if chart.over == "epoch" else f"step {x:.0f}"
