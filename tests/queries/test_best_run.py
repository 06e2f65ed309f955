"""The best run is chosen by the metric that most runs of its experiment are judged by."""

from __future__ import annotations

import random

import pytest

import tracker
from tracker.queries.best_run import best_run
from tracker.storage.database import reading


def record(chance: random.Random) -> None:
    """Record a run with some of these metrics, a value or NaN each; some of them declare what they monitor."""
    with tracker.start_run("many") as run:
        if chance.random() < 0.3:
            run.define_metric("score", mode="max", monitor=True)
        metrics = {
            name: chance.choice([0.5, 0.25, float("nan"), 1.0])
            for name in ("val_loss", "score", "loss")
            if chance.random() < 0.6
        }
        if metrics:
            run.log_epoch(0, metrics)
        if chance.random() < 0.3:
            run.log({"accuracy": 0.5})


@pytest.mark.parametrize("seed", range(12))
def test_the_metric_is_the_one_that_the_listing_has_most_often(seed: int) -> None:
    chance = random.Random(seed)
    record(chance)
    for _ in range(chance.randint(0, 6)):
        record(chance)
    runs = tracker.runs()
    counts = runs[runs["best"].notna()]["monitor"].value_counts()
    with reading() as reader:
        if counts.empty:
            with pytest.raises(tracker.UnknownMetric):
                best_run(reader, "many")
            return
        found = best_run(reader, "many")
    assert counts[found.metric] == counts.max()
