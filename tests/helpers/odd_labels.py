"""Runs whose params, tags and metrics are hard to tell apart once they are joined."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

import tracker

BETWEEN = "\x1f"
RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "plain": {"params": {"lr": 0.1, "name": "x", "deep": True}, "tags": {"team": "vision"}},
    "empty": {"params": {"lr": 1e-300, "name": "", "deep": None}, "tags": {"team": ""}},
    "joined": {"params": {"lr": -0.0, "name": f"a{BETWEEN}b"}, "tags": {"team": BETWEEN}},
    "named": {"params": {f"l{BETWEEN}r": 2, "name": f"{BETWEEN}"}, "tags": {f"t{BETWEEN}": "u"}},
    "both": {"params": {}, "tags": {f"a{BETWEEN}b": f"c{BETWEEN}d"}},
    "kinds": {"params": {"lr": 3, "name": 2**70, "deep": "true", "nan": math.nan}, "tags": {}},
    "bare": {"params": {}, "tags": {}},
}
"""What each run is started with."""

METRICS: dict[str, list[dict[str, float]]] = {
    "plain": [{"loss": 0.5, "acc": 0.25, "epoch_time": 3.0}, {"loss": 0.75, "acc": 0.125}],
    "kinds": [{"loss": math.nan, "score": 1.0}, {"score": 2.0}],
    "named": [{f"l{BETWEEN}": 1.0, "score": 5.0}],
}
"""What its epochs log; in "named", a lower score is better."""

BEST = {
    "plain": {"loss": 0.5, "acc": 0.25},
    "kinds": {"loss": math.nan, "score": 2.0},
    "named": {f"l{BETWEEN}": 1.0, "score": 5.0},
}
"""What `tracker.runs` shows of them, but for what has no best."""


def record() -> None:
    """Record all of them."""
    for name, given in RUNS.items():
        with tracker.start_run("odd", name=name, **given) as run:
            if name == "named":
                run.define_metric("score", mode="min")
            if name == "kinds":
                run.define_metric("score", mode="max")
            for epoch, metrics in enumerate(METRICS.get(name, ())):
                run.log_epoch(epoch, metrics)


def check() -> None:
    """Compare frames of all runs, and of some, with what was given."""
    everything = tracker.runs(order_by="started").set_index("name")
    for frame in (everything, tracker.runs("experiment = 'odd'").set_index("name")):
        assert set(frame.index) == set(RUNS)
        assert set(frame.columns) == set(everything.columns)
        for name, given in RUNS.items():
            row = frame.loc[name]
            cells = {f"params.{key}": value for key, value in given["params"].items()}
            cells |= {f"tags.{key}": value for key, value in given["tags"].items()}
            cells |= BEST.get(name, {})
            shown = [c for c in frame.columns if c.startswith(("params.", "tags."))]
            for column in {*shown, *cells}:
                _same(row[column], cells.get(column))


def _same(found: Any, given: Any) -> None:
    if given is None or (isinstance(given, float) and math.isnan(given)):
        assert pd.isna(found), (found, given)
    else:
        assert (found == given and str(found) == str(given)) or float(found) == given, (
            found,
            given,
        )
