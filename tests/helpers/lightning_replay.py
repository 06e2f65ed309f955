"""Train by Lightning with random series and settings, and replay what was recorded.

    python -m tests.helpers.lightning_replay --seed 1 --count 1000

prints each case in which a replay with the run's own settings decides otherwise than Lightning did.
"""

from __future__ import annotations

import logging
import math
import os
import random
import tempfile
import warnings
from argparse import ArgumentParser
from typing import Any

from lightning.pytorch.callbacks import EarlyStopping

import tracker
from tests.helpers.lightning_models import Scripted, data, quiet
from tracker_integrations.lightning import TrackerCallback, TrackerLogger

TIES = [0.1, 0.5, 0.5 + 1e-9, 0.5 + 2**-24, 0.6, 0.4, 0.3, 0.0, 1.0]
BROKEN = [math.nan, math.inf, -math.inf]


def random_series(chance: random.Random, length: int = 12) -> list[float]:
    """Return a series that ties, breaks and improves."""
    return [
        chance.choice(BROKEN)
        if chance.random() < 0.04
        else chance.choice(TIES)
        if chance.random() < 0.5
        else chance.uniform(0, 1.2)
        for _ in range(length)
    ]


def random_settings(chance: random.Random) -> dict[str, Any]:
    """Return the settings of an EarlyStopping."""
    return {
        "patience": chance.choice([0, 1, 2, 3, 5]),
        "mode": chance.choice(["min", "max"]),
        "min_delta": chance.choice([0.0, 0.0, 0.1, 1e-9, 0.05]),
        "check_finite": chance.random() < 0.5,
        "stopping_threshold": chance.choice([None, None, 0.1, 0.5]),
        "divergence_threshold": chance.choice([None, None, 1.0, 0.6]),
    }


def differs(seed: int) -> str | None:
    """Train once, replay, and say what differs; None where nothing does. Records into the working directory."""
    chance = random.Random(seed)
    series, settings = random_series(chance), random_settings(chance)
    fewest = chance.choice([None, None, 4])
    stopper = EarlyStopping("val_loss", **settings)
    logger = TrackerLogger("replay")
    trainer = quiet(
        max_epochs=len(series), min_epochs=fewest, callbacks=[stopper, TrackerCallback()], logger=logger,
        enable_checkpointing=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Scripted(series), data(rows=4))
    run = logger.run.id
    trained = trainer.current_epoch
    (row,) = tracker.replay(run).to_dict("records")
    told = tracker.decisions(run)
    best = [
        (verdict, value)
        for verdict, value in zip(told["verdict"], told["value"], strict=True)
        if verdict == "improved"
    ]
    found = {
        "epochs": (row["epochs"], trained),
        "rules": (row["rules"], "lightning-2.6"),
        "best": (_number(row["best"]), best[-1][1] if best else None),
        "stopped": (not math.isnan(_or_nan(row["stop_epoch"])), trainer.should_stop),
    }
    wrong = {name: pair for name, pair in found.items() if pair[0] != pair[1]}
    return f"seed {seed}: {wrong} with {settings}, min_epochs={fewest}, {series}" if wrong else None


def _or_nan(value: Any) -> float:
    return math.nan if value is None else float(value)


def _number(value: Any) -> float | None:
    number = _or_nan(value)
    return None if math.isnan(number) else number


def main() -> None:
    """Try many seeds."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    os.chdir(tempfile.mkdtemp())
    wrong = 0
    for seed in range(asked.seed, asked.seed + asked.count):
        if (told := differs(seed)) is not None:
            wrong += 1
            print(told)
    print(f"{asked.count} trainings, {wrong} replayed otherwise")


if __name__ == "__main__":
    main()
