"""What was recorded of random programs, beside what should be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import tracker
from tests.helpers import ROOT
from tests.programs.model import Model, Recorded, ordered
from tests.programs.program import Programs, source


def differences(seeds: range, folder: Path) -> dict[int, str]:
    """Run the programs of these seeds in another process; say of which the record is not as on paper.

    The process has ended before the record is read: what it left open has its final status.
    """
    environment = {"KERAS_BACKEND": "torch", **os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.programs.execute"]
    done = subprocess.run(
        [*command, str(seeds.start), str(seeds.stop), str(folder)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return {seeds.start: f"the process ended with {done.returncode}\n{done.stderr[-3000:]}"}
    found: dict[int, str] = {}
    for seed in seeds:
        program = Programs(seed).program()
        expected = Model().execute(program)
        seen = recorded(folder / str(seed) / "tracker.db")
        if seen != expected:
            missing = [one for one in expected if one not in seen]
            extra = [one for one in seen if one not in expected]
            lines = [f"  on paper: {one}" for one in missing] + [
                f"  recorded: {one}" for one in extra
            ]
            found[seed] = "\n".join([source(program), *lines])
    return found


def recorded(database: Path) -> list[Recorded]:
    """Return the runs of a database, as the model writes them."""
    runs = tracker.runs(database=database)
    if runs.empty:
        return []
    names = dict(zip(runs["id"], runs["name"], strict=True))
    epochs = tracker.epochs(database=database)
    if "mark" not in epochs:  # no training came to the end of an epoch
        epochs["mark"] = 0.0
    steps = tracker.metrics(database=database)
    steps = steps[steps["name"] == "loss"]
    return ordered(
        Recorded(
            run.name,
            names.get(run.parent),
            run.status,
            dict(zip(mine["epoch"], mine["mark"], strict=True)),
            sorted(steps[steps["run"] == _label(run, runs)]["step"]),
        )
        for run in cast("Any", runs).itertuples()
        for mine in [epochs[epochs["run"] == _label(run, runs)]]
    )


def _label(run: Any, runs: Any) -> str:
    several = (runs["name"] == run.name).sum() > 1
    return f"{run.name}@{run.id[:8]}" if several else str(run.name)
