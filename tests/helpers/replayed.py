"""What the replays of the neighbours' trainings share: random series, what was recorded of files, and many seeds."""

from __future__ import annotations

import math
import os
import random
import tempfile
import warnings
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas

import tracker
from tests.helpers.patience import patient

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


def files(run: str, kept: set[int]) -> dict[str, tuple[Any, Any]]:
    """Return what a replay says of a run's files, each with what was recorded, or with what lies on the disk.

    Args:
        run: its id.
        kept: the epochs whose files lie on the disk.
    """
    frame = tracker.replay(run, policy="ModelCheckpoint")
    told = tracker.decisions(run)
    told = told[told["policy"] == "ModelCheckpoint"]
    saved = {_path(row["path"]): row["epoch"] for row in _decided(told, "saved")}
    pruned = {saved[_path(row["path"])]: row["epoch"] for row in _decided(told, "pruned")}
    gone = frame[frame["verdict"] == "pruned"]
    return {
        "kept": (set(frame[frame["verdict"] == "saved"]["epoch"]), kept),
        "saved": (frame["epoch"].tolist(), sorted(set(saved.values()))),
        "pruned": (dict(zip(gone["epoch"], gone["gone_epoch"], strict=True)), pruned),
        "replaced": ((frame["verdict"] == "replaced").sum(), 0),
    }


def _decided(told: Any, verdict: str) -> list[dict[str, Any]]:
    rows = told[told["verdict"] == verdict].to_dict("records")
    return [row for row in rows if not _path(row["path"]).startswith("last")]


def _path(path: str) -> str:
    return Path(path).name


def number(value: Any) -> float | None:
    """Return a cell of a frame; None for an empty one."""
    return None if pandas.isna(value) else float(value)


def main(usage: str | None, differs: Callable[[int], str | None]) -> None:
    """Try many seeds in a folder of its own, and print what differs."""
    parser = ArgumentParser(description=usage)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    wrong = 0
    with patient(), tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for seed in range(asked.seed, asked.seed + asked.count):
            if (told := differs(seed)) is not None:
                wrong += 1
                print(told, flush=True)
    print(f"{asked.count} trainings, {wrong} replayed otherwise")
