"""PostgreSQL that stops answering, or is killed, while many processes record."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tracker
from tests.faults.disks import check_bounded
from tests.faults.family import Family, Result, share_of
from tests.faults.oracle import noted
from tests.faults.processes import Forks, Place, forks
from tests.helpers.postgres import Cluster, binary, cluster

AT_ONCE = 20
FROZEN_SECONDS = 20.0
LONGEST_WAIT = 300.0


def frozen(folder: Path, share: float, rng: random.Random) -> Result:
    """Stopped for 20 s at a random moment of 20 trainings."""

    def hit(server: Cluster) -> None:
        with server.frozen():
            time.sleep(FROZEN_SECONDS)

    return _while_recording(folder, share, rng, hit)


def crashed(folder: Path, share: float, rng: random.Random) -> Result:
    """Ended as a crash ends it, and started again."""

    def hit(server: Cluster) -> None:
        server.stop()
        time.sleep(2)
        server.start()

    return _while_recording(folder, share, rng, hit)


def _while_recording(
    folder: Path, share: float, rng: random.Random, hit: Callable[[Cluster], object]
) -> Result:
    result = Result()
    if binary("initdb") is None:
        result.facts["not tried"] = "PostgreSQL is not installed"
        return result
    longest = ending = 0.0
    at_once = max(2, share_of(AT_ONCE, min(1.0, share * 10)))
    with cluster() as server:
        for number in range(share_of(200, share) // at_once or 1):
            url = server.create(f"t{number}")
            place = Place(folder / str(number))
            state = str(place.folder / "state")
            with forks(folder, TRACKER_DATABASE_URL=url, XDG_STATE_HOME=state) as starting:
                starting.start(place, "recover")
                given: dict[str, Any] = {"epochs": 40, "pause": 0.25}
                pids = [
                    starting.launch(place, "record", given={**given, "name": f"w{one}"})
                    for one in range(at_once)
                ]
                time.sleep(rng.uniform(1, 10))
                hit(server)
                with result.trial(f"round {number}"):
                    starting.wait(pids, LONGEST_WAIT)
                    check_server(starting, place, url)
                    calls, ends = place.took()
                    longest, ending = max(longest, *calls), max(ending, *ends)
                    check_bounded(calls, ends)
                    assert len(ends) == at_once, place.log
            result.tried += at_once - 1
    result.facts |= {"longest call, s": round(longest, 2), "longest end, s": round(ending, 2)}
    return result


def check_server(starting: Forks, place: Place, url: str) -> None:
    """After the next start, every acknowledged epoch is in the database, with its value."""
    assert starting.start(place, "recover")["code"] == 0, place.raised()
    frame = tracker.epochs(database=url)
    ids = dict(zip(*(tracker.runs(database=url)[name] for name in ("id", "name")), strict=True))
    shown = {(row.run, int(row.epoch)): row.loss for row in frame.itertuples()}
    acknowledged = noted(place.acknowledged)
    lost = [
        (ids.get(run, run), epoch)
        for run, epochs in acknowledged.items()
        for epoch, loss in epochs.items()
        if shown.get((ids.get(run, run), epoch)) != loss
    ]
    assert lost == [], f"{len(lost)} acknowledged epochs are lost, such as {lost[0]}"
    assert place.raised() is None, place.raised()


FAMILIES = [
    Family(
        "P1",
        "PostgreSQL frozen for 20 s at a random moment of training",
        "1, 2, 3",
        200,
        0.01,
        frozen,
    ),
    Family("P2", "PostgreSQL killed and started again", "1, 2, 3", 100, 0.01, crashed),
]
