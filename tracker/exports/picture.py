"""Lines of metrics as a picture in a file. Needs the extra ``plot``: matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from tracker.errors import NotWritable, TrackerError
from tracker.queries.lines import Line, Lines

_MARKS = {"saved": ".", "reduced": "v", "restored": "P", "stopped": "X"}
"""How what happened is drawn."""
_NAMED_MARKS = {
    "saved": "checkpoint",
    "reduced": "learning rate reduced",
    "restored": "weights restored from here",
}
LABELS = {"epoch": "epoch", "step": "step", "time": "seconds since the start of the run"}


def save_picture(
    charts: Sequence[Lines], path: str | os.PathLike[str], *, logarithmic: bool = False
) -> None:
    """Draw one chart per metric below each other; the ending of ``path`` says the format (.png, .svg, .pdf).

    Checkpoints and the decisions of callbacks are marked on the lines.

    Raises:
        TrackerError: when matplotlib is not installed.
        NotWritable: when the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ModuleNotFoundError as error:
        raise TrackerError(
            "Drawing a picture needs matplotlib: pip install 'local-tracker[plot]'."
        ) from error
    figure = Figure(figsize=(8, 1.2 + 3.4 * len(charts)), layout="constrained")
    all_axes = figure.subplots(len(charts), squeeze=False)[:, 0]
    for axes, chart in zip(all_axes, charts, strict=True):
        used: set[str] = set()
        for line in chart.lines:
            (drawn,) = axes.plot(line.x, line.y, label=line.run, linewidth=1.2)
            used |= _draw_marks(axes, line, drawn.get_color())
        for what in (one for one in _MARKS if one in used):
            label = _NAMED_MARKS.get(what, what)
            axes.plot([], [], _MARKS[what], color="grey", label=label)
        axes.set(xlabel=LABELS[chart.over], ylabel=chart.metric)
        if logarithmic:
            axes.set_yscale("log")
        if chart.over != "time":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    try:
        figure.savefig(os.fspath(path), dpi=120)
    except (OSError, ValueError) as error:
        raise NotWritable(f"The picture {os.fspath(path)} cannot be written: {error}.") from error


def _draw_marks(axes: Any, line: Line, color: str) -> set[str]:
    """Draw what happened where it happened; returns what there was."""
    if not line.x:
        return set()
    for what, marker in _MARKS.items():
        # Of a long line the very point may have been thinned out.
        places = [_nearest(line.x, mark.x) for mark in line.marks if mark.what == what]
        axes.plot(
            [line.x[place] for place in places],
            [line.y[place] for place in places],
            marker, color=color, markersize=7, zorder=3,
        )  # fmt: skip
    return {mark.what for mark in line.marks}


def _nearest(places: Sequence[float], x: float) -> int:
    return min(range(len(places)), key=lambda place: abs(places[place] - x))
