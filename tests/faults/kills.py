"""kill -9: at random moments, at every call that changes a file, while recovering."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.faults.family import Family, Result, moments, share_of
from tests.faults.oracle import Oracle
from tests.faults.processes import KILL, Forks, Place, fault, forks, killed
from tracker.storage.location import locate
from tracker.storage.spool import spool_files

FRAMEWORKS = "tests.faults.frameworks"
WRITERS = {
    "plain loop": "record",
    "Keras": f"{FRAMEWORKS}:with_keras",
    "PyTorch": f"{FRAMEWORKS}:with_torch",
}
"""What is trained with, and the work that does."""
ROUNDS_PER_PLACE = 20
LONGEST_START = 60.0


def settled(starting: Forks, place: Place) -> int:
    """The next start leaves nothing half done; returns how many epochs were acknowledged, none of which is missing."""
    oracle = Oracle(place.work)
    if oracle.path.exists():
        oracle.check_acknowledged(place.acknowledged)
        # What waits in a spool may say that a file was deleted.
        if oracle.has_tables() and not spool_files(locate(oracle.path)):
            oracle.check_available()
    assert starting.start(place, "recover")["code"] == 0, place.raised()
    if list(place.work.rglob(".tracker-*")):
        # A start that was killed itself has marked the run as lost, and not yet swept its folders.
        assert starting.start(place, "mend")["code"] == 0, place.raised()
    oracle.check_database()
    oracle.check_nothing_runs()
    oracle.check_checkpoints()
    assert list(place.work.glob(".tracker/spool/*")) == []
    assert list(place.work.rglob(".tracker-*")) == []
    return oracle.check_acknowledged(place.acknowledged)


def random_kills(folder: Path, share: float, rng: random.Random) -> Result:
    """A plain loop, Keras and PyTorch share a database; each round kills each of them, and the next one continues.

    Three rounds of four let them record first; the fourth kills at any moment of their start.
    """
    result = Result()
    with (
        forks(folder) as starting,
        forks(folder, FRAMEWORKS, KERAS_BACKEND="torch") as training,
    ):
        training.warm_up(f"{FRAMEWORKS}:everything")
        place, before = Place(folder / "0"), 0
        for number in range(share_of(200, share)):
            if number % ROUNDS_PER_PLACE == 0 and number:
                shutil.rmtree(place.folder)
                place, before = Place(folder / str(number)), 0
            pids = []
            for kind, work in WRITERS.items():
                given = {"epochs": 10_000, "name": f"{kind.split()[0]}{number // 3}"}
                launching = starting if work == "record" else training
                pids.append(launching.launch(place, work, given=given))
                result.count(kind)
            if number % 4:
                wait_for_epochs(place, before + len(WRITERS))
            for pid in rng.sample(pids, len(pids)):
                time.sleep(rng.uniform(0, 0.2))
                kill_hard(pid)
            with result.trial(f"round {number}"):
                now = settled(starting, place)
                result.count("acknowledged epochs, all found", now - before)
                before = now
            result.tried += len(WRITERS) - 1
    return result


def wait_for_epochs(place: Place, count: int) -> None:
    """Wait until so many epochs are acknowledged."""
    give_up = time.monotonic() + LONGEST_START
    while not place.acknowledged.exists() or place.acknowledged.read_bytes().count(b"\n") < count:
        assert time.monotonic() < give_up, place.log
        time.sleep(0.005)


def kill_hard(pid: int) -> None:
    """Kill, and wait until it is dead: its parent collects it."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.001)


def every_call(folder: Path, share: float, rng: random.Random, *, beside: bool = False) -> Result:
    """Three epochs with two checkpoints and a prune each, killed before each call that changes a file.

    ``beside``: a thread saves and prunes while the next epoch is recorded.
    """
    result = Result()
    with forks(folder) as starting:
        for at in moments(share):
            with Place(folder / str(at)) as place:
                answer = starting.start(
                    place, "record", fault=fault(at, KILL), given={"beside": beside}
                )
                if not killed(answer):
                    assert answer["code"] == 0, place.raised()
                    return result
                with result.trial(f"call {at}"):
                    settled(starting, place)
    return result


def while_recovering(folder: Path, share: float, rng: random.Random) -> Result:
    """The process that recovers from a kill is killed as well; the third one is not in anybody's way."""
    result = Result()
    with forks(folder) as starting:
        for number in range(share_of(100, share)):
            with Place(folder / str(number)) as place:
                starting.start(place, "record", fault=fault(rng.randint(150, 500), KILL))
                second = starting.start(place, "recover", fault=fault(rng.randint(1, 60), KILL))
                with result.trial(f"pair {number}"):
                    settled(starting, place)
                result.count("killed twice", killed(second))
    return result


FAMILIES = [
    Family(
        "A1",
        "kill −9 at a random moment of a plain loop, of Keras and of PyTorch, with a checkpoint an epoch",
        "1, 4, 7",
        600,
        0.02,
        random_kills,
        minutes=6.0,
    ),
    Family(
        "A2",
        "kill −9 before every call that changes a file",
        "1, 4",
        None,
        0.04,
        every_call,
        minutes=3.0,
    ),
    Family(
        "A3",
        "kill −9 while a start recovers from a kill",
        "1, 4",
        100,
        0.06,
        while_recovering,
        minutes=1.0,
    ),
    Family(
        "A5",
        "kill −9 before every call that changes a file, while a thread saves beside the training",
        "1, 4",
        None,
        0.02,
        partial(every_call, beside=True),
        minutes=3.5,
    ),
]
