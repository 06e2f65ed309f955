"""Whatever the database driver raises, training ends as it would without us."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

from tests.faults.family import Family, Result, share_of
from tests.faults.processes import Forks, Place, forks

TORCH = "tests.helpers.torch_errors"
KINDS = 29
"""How many kinds of errors are raised, see there."""
STATEMENTS = 500
"""Roughly how many statements a training runs."""


def raising(folder: Path, share: float, rng: random.Random) -> Result:
    """Raise each exception from a random statement on: once, for a while, or for the rest of the run."""
    result = Result()
    with forks(folder, TORCH, "torch._dynamo") as starting:
        data = Place(folder / "data")
        starting.start(data, f"{TORCH}:prepare", given={"folder": str(data.folder)})
        without = trained(starting, data, folder / "without", None, 0, 0)
        for number in range(share_of(10 * KINDS, share)):
            at, more = rng.randint(1, STATEMENTS), rng.choice((0, 5, 10**9))
            with result.trial(f"{number}, error {number % KINDS} at {at}, {more} more"):
                place = folder / str(number)
                found = trained(starting, data, place, number % KINDS, at, more)
                for part in without:
                    assert found[part] == without[part], f"{part} differs"
    return result


def trained(
    starting: Forks, data: Place, folder: Path, number: int | None, at: int, more: int
) -> dict[str, Any]:
    """Train; returns what came of it."""
    with Place(folder) as place:
        shutil.copy(data.folder / "wine.pt", place.folder)
        given = {"number": number, "at": at, "more": more}
        answer = starting.start(place, f"{TORCH}:train", given=given)
        assert answer["code"] == 0, place.raised()
        result: dict[str, Any] = json.loads((place.folder / "result.json").read_text())
    return result


FAMILIES = [
    Family(
        "X1",
        "a statement of the database driver raises each of 29 exceptions, once, for a while or for the rest of the run",
        "2",
        10 * KINDS,
        0.014,
        raising,
        minutes=6.0,
    )
]
