"""Lines of metrics as a picture in a file. Needs the extra ``plot``: matplotlib."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from itertools import count
from pathlib import Path
from typing import Any

from tracker.errors import NotWritable, TrackerError
from tracker.queries.lines import Line, Lines
from tracker.system_names import is_system, unit_of

MARKS = {
    "saved": "checkpoint",
    "reduced": "learning rate reduced",
    "stopped": "stopped",
    "restored": "weights restored from here",
    "best": "best",
}
"""What is marked on a line, and how it is called; what comes later is drawn above the others."""
_SYMBOLS: dict[str, dict[str, Any]] = {
    "saved": {"marker": "o", "markersize": 4.5, "markerfacecolor": "white"},
    "reduced": {"marker": "v", "markersize": 8},
    "stopped": {"marker": "X", "markersize": 9},
    "restored": {
        "marker": "o",
        "markersize": 17,
        "markerfacecolor": "none",
        "markeredgewidth": 1.6,
    },
    "best": {"marker": "*", "markersize": 13, "markeredgecolor": "black", "markeredgewidth": 0.6},
}
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#595959")
"""Those of Okabe and Ito that stand out on white: told apart by colour-blind people, too."""
_DASHES = ("-", "--", ":", "-.")
_LONGEST_NAME = 40
_SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "local-tracker"}
"""In an SVG, letters are text that can be searched, and the same chart is the same file."""
_MINUTES = 180.0
_UNITS = ((86400.0, "d", 3 * 86400.0), (3600.0, "h", 3 * 3600.0), (60.0, "min", _MINUTES))


def in_time_units(chart: Lines) -> Lines:
    """Return a chart over time in seconds, minutes, hours or days, as long as it is."""
    longest = max((x for line in chart.lines for x in line.x), default=0.0)
    for seconds, unit, least in _UNITS:
        if chart.over == "time" and longest >= least:
            return chart.divided(seconds, unit)
    return chart


def x_label(chart: Lines) -> str:
    """Return what the horizontal axis is, with its unit."""
    if chart.over == "time":
        return f"time since the start of the run, {chart.unit}"
    if chart.over == "step" and is_system(chart.metric):
        return "seconds since the start of the run"
    return chart.over


def y_label(chart: Lines) -> str:
    """Return the metric's name, with its unit where the name says one."""
    unit = unit_of(chart.metric)
    return chart.metric if unit is None else f"{chart.metric}, {unit}"


def save_picture(
    charts: Sequence[Lines], path: str | os.PathLike[str], *, logarithmic: bool = False
) -> None:
    """Draw one chart per metric below each other; the ending of ``path`` says the format.

    The best value of each run, checkpoints, and the decisions of callbacks are marked on the lines; what is not
    finite is a cross at the bottom. A run has one colour in all charts.

    Args:
        charts: what is drawn.
        path: a file ending in .png, .svg or .pdf, or .html for a page with the picture and its numbers; without an
            ending it is a PNG.
        logarithmic: whether the vertical axes are.

    Raises:
        TrackerError: when matplotlib is not installed.
        NotWritable: when the file cannot be written.
    """
    with drawing() as figure_of:
        figure = figure_of(figsize=(8, 1.2 + 3.4 * len(charts)), layout="constrained")
        _draw(figure, charts, logarithmic)
        save_figure(figure, path, lambda: _numbers(charts))


@contextmanager
def drawing() -> Iterator[Any]:
    """Give matplotlib's ``Figure``, with our settings; nothing of the user's own pictures is changed.

    Raises:
        TrackerError: when matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise TrackerError(
            "Drawing a picture needs matplotlib: pip install 'local-tracker[plot]'."
        ) from error
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # Its font lacks many scripts; an SVG shows them all the same.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield Figure


def save_figure(figure: Any, path: str | os.PathLike[str], numbers: Any = str) -> None:
    """Write a figure in the format that the ending of ``path`` says; ``numbers`` returns what a page adds.

    Raises:
        NotWritable: when the file cannot be written.
    """
    name = os.fspath(path)
    try:
        if name.lower().endswith((".html", ".htm")):
            drawn = io.StringIO()
            figure.savefig(drawn, format="svg", metadata={"Date": None})
            svg = drawn.getvalue()
            Path(name).write_text(_page(svg[svg.index("<svg") :], numbers()), encoding="utf-8")
            return
        form = Path(name).suffix.lower().removeprefix(".") or "png"
        dated = {"metadata": {"Date": None}} if form == "svg" else {}
        picture = io.BytesIO()
        figure.savefig(picture, format=form, dpi=144, **dated)
        # The file that was named: matplotlib would add an ending.
        Path(name).write_bytes(picture.getvalue())
    except (OSError, ValueError) as error:
        raise NotWritable(f"The picture {name} cannot be written: {error}.") from error


def _draw(figure: Any, charts: Sequence[Lines], logarithmic: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.ticker import EngFormatter, MaxNLocator

    styles = _styles(charts)
    all_axes = figure.subplots(len(charts), squeeze=False)[:, 0]
    used: set[str] = set()
    for axes, chart in zip(all_axes, charts, strict=True):
        for line in chart.lines:
            style = styles[line.run]
            axes.plot(line.x, line.y, linewidth=1.4, **style)
            used |= _draw_marks(axes, line, style["color"])
        axes.set(xlabel=_plain(x_label(chart)), ylabel=_plain(y_label(chart)))
        if logarithmic:
            axes.set_yscale("log")
        elif unit_of(chart.metric) in ("B", "B/s"):
            axes.yaxis.set_major_formatter(EngFormatter())
        if chart.over != "time":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    runs = [Line2D([], [], linewidth=1.4, **style) for style in styles.values()]
    names = [_run_label(charts, run) for run in styles]
    beside = "outside right upper" if len(runs) > 2 else "outside upper left"
    figure.legend(runs, names, loc=beside, frameon=False, fontsize=8)
    keys = [
        Line2D([], [], linestyle="none", color="#595959", **_symbol(what, "#595959"))
        for what in (*MARKS, _NOT_FINITE)
        if what in used
    ]
    words = [
        {**MARKS, _NOT_FINITE: "NaN or infinite"}[what]
        for what in (*MARKS, _NOT_FINITE)
        if what in used
    ]
    if keys:
        figure.legend(
            keys, words, loc="outside lower center", ncols=len(keys), frameon=False, fontsize=8
        )


_NOT_FINITE = "not finite"


def _symbol(what: str, colour: str) -> dict[str, Any]:
    if what == _NOT_FINITE:
        return {"marker": "x", "markersize": 6, "markeredgecolor": colour}
    return {"markeredgecolor": colour, "markerfacecolor": colour, **_SYMBOLS[what]}


def _styles(charts: Sequence[Lines]) -> dict[str, dict[str, Any]]:
    """Return the colour of each run, and a dash where there are more runs than colours."""
    runs = dict.fromkeys(line.run for chart in charts for line in chart.lines)
    return {
        run: {
            "color": _COLOURS[place % len(_COLOURS)],
            "linestyle": _DASHES[place // len(_COLOURS) % len(_DASHES)],
        }
        for run, place in zip(runs, count())
    }


def _run_label(charts: Sequence[Lines], run: str) -> str:
    """Return a run's name, with its best value where there is only one chart."""
    name = run if len(run) <= _LONGEST_NAME else f"{run[:_LONGEST_NAME]}…"
    found = [line for chart in charts for line in chart.lines if line.run == run]
    best = best_of(found[0]) if len(charts) == 1 else None
    return _plain(name if best is None else f"{name}  (best {best[1]:.4g})")


def best_of(line: Line) -> tuple[float, float] | None:
    """Return where a line is best, and the value there."""
    found = [(mark.x, mark.value) for mark in line.marks if mark.value is not None]
    return found[0] if found else None


def _plain(text: str) -> str:
    """Return text as matplotlib shows it letter by letter: no formulas, and no labels that it hides."""
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def _draw_marks(axes: Any, line: Line, colour: str) -> set[str]:
    """Draw what happened where it happened; returns what there was."""
    if not line.x:
        return set()
    used = set()
    for order, what in enumerate(MARKS):
        # Of a long line the very point may have been thinned out.
        places = [nearest(line.x, mark.x) for mark in line.marks if mark.what == what]
        known = [place for place in places if math.isfinite(line.y[place])]
        if known:
            used.add(what)
            axes.plot(
                [line.x[place] for place in known],
                [line.y[place] for place in known],
                linestyle="none", zorder=3 + order, **_symbol(what, colour),
            )  # fmt: skip
    odd = [x for x, y in zip(line.x, line.y, strict=True) if not math.isfinite(y)]
    if odd:
        used.add(_NOT_FINITE)
        axes.plot(
            odd, [0.02] * len(odd), linestyle="none", transform=axes.get_xaxis_transform(),
            clip_on=False, **_symbol(_NOT_FINITE, colour),
        )  # fmt: skip
    return used


def nearest(places: Sequence[float], x: float) -> int:
    """Return the index of the place that is nearest to ``x``; places rise, but for steps that go back."""
    return min(range(len(places)), key=lambda place: abs(places[place] - x))


def _numbers(charts: Sequence[Lines]) -> str:
    """Return each run's best and last value as an HTML table, a row each."""
    rows = []
    for chart in charts:
        for line in chart.lines:
            best = best_of(line)
            cells: Mapping[str, Any] = {
                "metric": chart.metric,
                "run": line.run,
                "best": "" if best is None else f"{best[1]:.6g}",
                f"at {chart.over}": "" if best is None else f"{best[0]:.6g}",
                "last": f"{line.y[-1]:.6g}" if line.y else "",
            }
            rows.append("".join(f"<td>{escape(str(cell))}</td>" for cell in cells.values()))
    heads = ("metric", "run", "best", "at", "last")
    head = "".join(f"<th scope='col'>{name}</th>" for name in heads)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _page(svg: str, numbers: str) -> str:
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>local-tracker</title>
<style>
body {{ font: 14px system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
html {{ background: #fff; color: #111 }}
svg {{ width: 100%; height: auto }}
table {{ border-collapse: collapse; margin-top: 1rem }}
th, td {{ padding: .2rem .8rem .2rem 0; text-align: left; font-variant-numeric: tabular-nums }}
th {{ border-bottom: 1px solid #999 }}
</style>
{svg}
{numbers}
</html>
"""
