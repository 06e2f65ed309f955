"""Compute saved against metric lost, over many runs, for each patience; with the knee marked.

The knee is the point farthest from the straight line between the ends of the curve, both axes scaled
to 0…1 (Satopää et al., "Finding a 'Kneedle' in a Haystack", 2011): from there on more patience costs
much and gains little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tracker.errors import BadValue
from tracker.replays.early_stopping import Outcome


@dataclass(frozen=True)
class Point:
    """One patience over all runs.

    Attributes:
        runs, stopped: how many were replayed, and how many of them would have stopped earlier.
        epochs_saved, seconds_saved: the sums.
        saved: share of all recorded epochs that would not have been trained, 0…1.
        given_up: mean over the runs of how much worse the best value would have been.
        most_given_up: the largest of them.
        knee: whether this is the knee of the curve.
    """

    patience: int
    runs: int
    stopped: int
    epochs_saved: int
    saved: float
    seconds_saved: float
    given_up: float | None
    most_given_up: float | None
    knee: bool = False


def tradeoff(outcomes: Iterable[Outcome]) -> list[Point]:
    """Return a point for each patience, the smallest first.

    Raises:
        BadValue: when the runs are judged by different metrics, whose losses cannot be added up.
    """
    outcomes = list(outcomes)
    monitors = sorted({one.monitor for one in outcomes if one.epochs})
    if len(monitors) > 1:
        raise BadValue(
            f"The runs are judged by different metrics ({', '.join(monitors)}), and a curve cannot add "
            f"up what they lose: name one with --monitor, or leave some runs out with --where."
        )
    by_patience: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        by_patience.setdefault(outcome.patience, []).append(outcome)
    points = [_point(patience, group) for patience, group in sorted(by_patience.items())]
    place = _knee(points)
    return [replace(point, knee=at == place) for at, point in enumerate(points)]


def _point(patience: int, group: Sequence[Outcome]) -> Point:
    lost = [
        one.given_up for one in group if one.given_up is not None and math.isfinite(one.given_up)
    ]
    recorded = sum(one.epochs + one.epochs_saved for one in group)
    saved = sum(one.epochs_saved for one in group)
    return Point(
        patience=patience,
        runs=len(group),
        stopped=sum(one.stop_epoch is not None for one in group),
        epochs_saved=saved,
        saved=saved / recorded if recorded else 0.0,
        seconds_saved=math.fsum(one.seconds_saved for one in group),
        given_up=math.fsum(lost) / len(lost) if lost else None,
        most_given_up=max(lost, default=None),
    )


def _knee(points: Sequence[Point]) -> int | None:
    """Return the place of the knee; None for a curve that has none (fewer than three points, or straight)."""
    known = [
        (place, one.saved, one.given_up)
        for place, one in enumerate(points)
        if one.given_up is not None
    ]
    if len(known) < 3:
        return None
    xs, ys = _scaled([saved for _, saved, _ in known]), _scaled([lost for _, _, lost in known])
    if xs is None or ys is None:
        return None
    # Both grow together; the knee saves much (x high) and gives up little (y low).
    gains = [x - y for x, y in zip(xs, ys, strict=True)]
    best = max(range(len(gains)), key=lambda place: gains[place])
    return known[best][0] if gains[best] > 0 else None


def _scaled(values: Sequence[float]) -> list[float] | None:
    low, high = min(values), max(values)
    return None if low == high else [(value - low) / (high - low) for value in values]
