"""The trade-off curve as a picture and on a terminal. Needs the extra ``plot``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tracker.errors import NotWritable, TrackerError
from tracker.replays.tradeoff import Point

_X, _Y = "epochs saved, %", "metric given up, mean"


def _known(points: Sequence[Point]) -> list[tuple[float, float, Point]]:
    return [(100 * one.saved, one.given_up, one) for one in points if one.given_up is not None]


def save_tradeoff(points: Sequence[Point], path: str | os.PathLike[str]) -> None:
    """Draw the curve into a file whose ending says the format (.png, .svg, .pdf).

    Raises:
        TrackerError: when matplotlib is not installed. NotWritable: when the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise TrackerError(
            "Drawing needs matplotlib: pip install 'local-tracker[plot]'."
        ) from error
    known = _known(points)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([x for x, _, _ in known], [y for _, y, _ in known], marker="o", color="tab:blue")
    for x, y, point in known:
        axes.annotate(
            f"{point.patience}", (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8
        )
        if point.knee:
            label = f"knee: patience {point.patience}"
            axes.plot(
                [x], [y], marker="o", markersize=12, fillstyle="none", color="tab:red", label=label
            )
            axes.legend()
    axes.set(xlabel=_X, ylabel=_Y, title="early stopping: what each patience saves and costs")
    try:
        figure.savefig(os.fspath(path), dpi=120)
    except (OSError, ValueError) as error:
        raise NotWritable(f"The picture {os.fspath(path)} cannot be written: {error}.") from error


def terminal_tradeoff(points: Sequence[Point]) -> str:
    """Return the curve as text with colours, for a terminal."""
    import plotext

    known = _known(points)
    plotext.clear_figure()
    plotext.plot_size(70, 18)
    plotext.theme("clear")
    plotext.plot([x for x, _, _ in known], [y for _, y, _ in known], marker="braille")
    for x, y, point in known:
        if point.knee:
            plotext.scatter([x], [y], marker="o", label=f"knee: patience {point.patience}")
    plotext.xlabel(_X)
    plotext.ylabel(_Y)
    drawn: str = plotext.build()
    return drawn
