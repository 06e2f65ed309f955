"""What each patience saves and costs, as a picture in a file. Needs the extra ``plot``: matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby, pairwise

from tracker.exports.picture import drawing, save_figure
from tracker.replays.tradeoff import Point

X_LABEL = "epochs saved, % of all"
_COLOUR, _KNEE = "#0072b2", "#d55e00"
_APART = 0.045
"""Share of the axes that two labels need between them."""


def y_label(metric: str) -> str:
    """Return what the vertical axis is."""
    return f"{metric} given up, mean of the runs"


def places(points: Sequence[Point]) -> list[tuple[float, float, str, bool]]:
    """Return where the points are: percent of epochs saved, metric given up, patiences, whether one is the knee.

    Patiences that come to the same are one place, called "4–20".
    """
    known = [
        (100 * point.saved, point.given_up, point) for point in points if point.given_up is not None
    ]
    found = []
    for (x, y), group in groupby(known, key=lambda one: one[:2]):
        same = [point for _, _, point in group]
        first, last = same[0].patience, same[-1].patience
        name = f"{first}" if first == last else f"{first}–{last}"
        found.append((x, y, name, any(point.knee for point in same)))
    return found


def labelled(found: Sequence[tuple[float, float, str, bool]]) -> list[bool]:
    """Return which places have room for a label: the knee, the ends, and what is apart from those before it."""
    if not found:
        return []
    xs, ys = [x for x, _, _, _ in found], [y for _, y, _, _ in found]
    wide, tall = (max(xs) - min(xs)) or 1.0, (max(ys) - min(ys)) or 1.0

    def are_apart(one: int, other: int) -> bool:
        across = abs(xs[one] - xs[other]) / wide
        return across + abs(ys[one] - ys[other]) / tall >= 2 * _APART

    shown: list[int] = []
    first_of_all = sorted(range(len(found)), key=lambda place: (not found[place][3], place))
    for place in [first_of_all[0], 0, len(found) - 1, *first_of_all[1:]]:
        if all(are_apart(place, other) for other in shown):
            shown.append(place)
    return [place in shown for place in range(len(found))]


def save_tradeoff(
    points: Sequence[Point], path: str | os.PathLike[str], metric: str = "metric"
) -> None:
    """Draw the curve into a file whose ending says the format (.png, .svg, .pdf, .html).

    Raises:
        TrackerError: when matplotlib is not installed.
        NotWritable: when the file cannot be written.
    """
    found = places(points)
    with drawing() as figure_of:
        figure = figure_of(figsize=(7, 4.4), layout="constrained")
        axes = figure.subplots()
        for one, other in pairwise(found):
            axes.plot([one[0], other[0]], [one[1], other[1]], color=_COLOUR, linewidth=1.2)
        for (x, y, name, is_knee), has_label in zip(found, labelled(found), strict=True):
            axes.plot([x], [y], marker="o", markersize=5, color=_COLOUR)
            if is_knee:
                axes.plot([x], [y], marker="o", markersize=13, fillstyle="none", color=_KNEE)
            if has_label:
                # The curve rises: below it, on the right, there is room.
                axes.annotate(
                    f"patience {name}: knee" if is_knee else name, (x, y), textcoords="offset points",
                    xytext=(9, -12) if is_knee else (5, -11), fontsize=8, color=_KNEE if is_knee else "#333333",
                )  # fmt: skip
        axes.set(xlabel=X_LABEL, ylabel=y_label(metric))
        axes.set_title("Early stopping: what each patience saves and costs", fontsize=10)
        axes.margins(0.09)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        save_figure(figure, path)
