"""Many processes at once: writers on one database, and first starts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from tests.faults.family import Family, Load, Result, share_of
from tests.faults.kills import settled
from tests.faults.oracle import Oracle
from tests.faults.processes import Forks, Place, forks
from tests.faults.upgrades import old_database
from tests.faults.works import ENOUGH
from tracker.storage import schema
from tracker.storage.location import locate
from tracker.storage.spool import spool_files

WRITERS, AT_ONCE = 32, 32
LONGEST_WAIT = 600.0
LEAST_PATIENCE = 0.7
"""Seconds that a call waits for others before it leaves what it was given for later; 0.8 are meant."""


def writers(folder: Path, share: float, rng: random.Random) -> Result:
    """32 processes record 500 epochs each; all are there, and none was told of a lock."""
    result = Result()
    epochs = share_of(500, share)
    place = Place(folder / "crowd")
    with forks(folder) as starting:
        given = {"epochs": epochs, "checkpoints": False}
        pids = [
            starting.launch(place, "record", given={**given, "name": f"w{number}"})
            for number in range(WRITERS)
        ]
        starting.wait(pids, LONGEST_WAIT)
        with result.trial("crowd"):
            assert place.raised() is None, place.raised()
            assert starting.start(place, "recover")["code"] == 0, place.raised()
            oracle = Oracle(place.work)
            oracle.check_database()
            assert oracle.check_acknowledged(place.acknowledged) == WRITERS * epochs
            calls, _ = place.took()
            calls.sort()
            result.facts |= {
                "epochs": WRITERS * epochs,
                "p50, ms": round(calls[len(calls) // 2] * 1000, 1),
                "p99, ms": round(calls[int(len(calls) * 0.99)] * 1000, 1),
                "max, ms": round(calls[-1] * 1000, 1),
            }
        result.tried = WRITERS * epochs
    return result


def first_starts(folder: Path, share: float, rng: random.Random) -> Result:
    """32 starts at once, without a database or with an old one: one start makes or upgrades it, and each gets a run."""
    result = Result()
    with forks(folder) as starting:
        starting.warm_up("tests.faults.upgrades:upgraded_once")
        for number in range(share_of(200, share)):
            with Place(folder / str(number)) as place:
                old = schema.HISTORY[-2] if number % 2 else None
                if old is not None:
                    old_database(place.work, old)
                pids = [starting.launch(place, "recover") for _ in range(AT_ONCE)]
                with result.trial(f"crowd {number}"):
                    starting.wait(pids, LONGEST_WAIT)
                    result.count("ends that waited beside it", check_starts(starting, place))
                result.count("on an old database" if old else "on none")
    return result


def check_starts(starting: Forks, place: Place) -> int:
    """Each has its run, of a name of its own; returns how many ends wait beside the database for the next start."""
    assert place.raised() is None, place.raised()
    oracle = Oracle(place.work)
    oracle.check_database()
    made = "SELECT count(*), count(DISTINCT name) FROM run WHERE experiment = 'after'"
    assert oracle.rows(made) == [(AT_ONCE, AT_ONCE)]
    assert len(list(oracle.path.parent.glob("*.backup-*"))) <= 1
    waiting = len(spool_files(locate(oracle.path)))
    assert starting.start(place, "recover")["code"] == 0, place.raised()
    oracle.check_nothing_runs()
    return waiting


def strangers(folder: Path, share: float, rng: random.Random) -> Result:
    """Another program writes all the time, and does not know our lock file: it is waited for, never given up on."""
    result = Result()
    place = Place(folder / "shared")
    epochs = share_of(2000, share)
    with forks(folder) as starting:
        starting.start(place, "prepare")
        other = starting.launch(place, "write beside")
        answer = starting.start(place, "share", given={"epochs": epochs})
        (place.folder / ENOUGH).touch()
        starting.wait([other], LONGEST_WAIT)
        with result.trial("beside another program"):
            assert answer["code"] == 0, place.raised()
            calls, _ = place.took()
            check_patience(calls)
            settled(starting, place)
            result.facts["longest call, s"] = round(max(took for took, _ in calls), 2)
        result.tried = epochs
    return result


def check_patience(calls: Sequence[tuple[float, int]]) -> None:
    """The first call that left something for later has waited; those that follow leave that to the writer."""
    for took, left in calls:
        if left:
            assert took >= LEAST_PATIENCE, f"given up after {took * 1000:.1f} ms"
            return


FAMILIES = [
    Family(
        "E1",
        "32 processes record on one database at once",
        "1, 3",
        16_000,
        0.01,
        writers,
        minutes=3.0,
        load=Load.ALONE,
    ),
    Family(
        "E2",
        "32 first starts at once, on no database and on an old one",
        "9",
        200,
        0.01,
        first_starts,
        minutes=7.0,
    ),
    Family(
        "E7",
        "another program writes to the database all the time, without our lock file",
        "1, 3",
        2000,
        0.05,
        strangers,
        minutes=1.0,
        load=Load.ALONE,
    ),
]
