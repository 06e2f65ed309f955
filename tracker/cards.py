"""A run as a few lines of HTML with small curves: what a notebook shows in place of its ``repr``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_MOST_METRICS = 8
_MOST_POINTS = 120
_WIDTH, _HEIGHT = 120, 28


def run_card(
    title: str, facts: Mapping[str, object], metrics: Mapping[str, Sequence[float | None]]
) -> str:
    """Return HTML without scripts: a title, facts beside it, and each metric's last value with its curve."""
    said = " · ".join(escape(str(value)) for value in facts.values() if value not in (None, ""))
    rows = "".join(
        f"<tr><td style='text-align:left'>{escape(name)}</td><td>{_shown(values)}</td>"
        f"<td>{_curve(values)}</td></tr>"
        for name, values in list(metrics.items())[:_MOST_METRICS]
    )
    more = len(metrics) - _MOST_METRICS
    table = f"<table>{rows}</table>" if rows else ""
    rest = f"<div>and {more} more metrics</div>" if more > 0 else ""
    return f"<div><div><b>{escape(title)}</b> {said}</div>{table}{rest}</div>"


def _shown(values: Sequence[float | None]) -> str:
    last = next((value for value in reversed(values) if value is not None), None)
    return "–" if last is None else f"{last:.6g}"


def _curve(values: Sequence[float | None]) -> str:
    step = max(1, -(-len(values) // _MOST_POINTS))
    points = [
        (at, value)
        for at, value in enumerate(values)
        if value is not None and math.isfinite(value) and at % step == 0
    ]
    if len(points) < 2:
        return ""
    low, high = min(value for _, value in points), max(value for _, value in points)
    wide, tall = points[-1][0] - points[0][0], (high - low) or 1.0
    path = " ".join(
        f"{2 + (at - points[0][0]) / wide * (_WIDTH - 4):.1f},{_HEIGHT - 3 - (value - low) / tall * (_HEIGHT - 6):.1f}"
        for at, value in points
    )
    return (
        f"<svg width='{_WIDTH}' height='{_HEIGHT}' role='img' aria-label='from {points[0][1]:.4g} to "
        f"{points[-1][1]:.4g}'><polyline points='{path}' fill='none' stroke='#2456c9' stroke-width='1.5'/></svg>"
    )
