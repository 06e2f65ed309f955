"""Signals, and every other way in which a process ends: as without us, soon, and its run says how."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tests.faults.disks import Longest
from tests.faults.family import Family, Load, Result, share_of
from tests.faults.kills import settled, wait_for_epochs
from tests.faults.oracle import Oracle
from tests.faults.processes import Forks, Place, forks
from tests.faults.pulse import pulse
from tests.faults.trainings import ENDINGS, EPOCHS, OWN_CODE, PLACES, POINTS
from tests.helpers import ROOT

WORKS = "tests.faults.trainings"
LONGEST_WAIT = 120.0


class Signals(NamedTuple):
    """What is sent, how the process ends without us, and which statuses are true."""

    numbers: tuple[signal.Signals, ...]
    handler: bool
    code: int
    statuses: tuple[str, ...]


SIGNALS = {
    "SIGTERM": Signals((signal.SIGTERM,), False, -signal.SIGTERM, ("interrupted",)),
    "SIGTERM, to a handler of the script's": Signals(
        (signal.SIGTERM,), True, OWN_CODE, ("interrupted",)
    ),
    "Ctrl-C": Signals((signal.SIGINT,), False, -signal.SIGINT, ("interrupted",)),
    # The second one may cut off what the first one has the process write.
    "Ctrl-C twice": Signals(
        (signal.SIGINT, signal.SIGINT), False, -signal.SIGINT, ("interrupted", "lost")
    ),
}


def signals(folder: Path, share: float, rng: random.Random) -> Result:
    """A signal comes at a random moment of saving and recording; a start finds everything as it should be."""
    result = Result()
    with forks(folder, WORKS) as starting:
        for number in range(share_of(200, share)):
            name = list(SIGNALS)[number % len(SIGNALS)]
            with Place(folder / str(number)) as place:
                with result.trial(f"{number}, {name}"):
                    check_signal(starting, place, SIGNALS[name], rng)
                result.count(name)
    return result


def check_signal(starting: Forks, place: Place, sent: Signals, rng: random.Random) -> None:
    """The process ends as it would without us, and says nothing of ours; the run has its status."""
    given = {"within": rng.random() < 0.5, "handler": sent.handler}
    pid = starting.launch(place, f"{WORKS}:forever", whole=True, given=given)
    wait_for_epochs(place, 1)
    for signal_number in sent.numbers:
        time.sleep(rng.uniform(0, 0.05))
        os.kill(pid, signal_number)
    starting.wait([pid], LONGEST_WAIT)
    code = starting.collect(pid)
    assert code == sent.code, f"exit code {code}: {place.said}"
    check_said(place, {"KeyboardInterrupt"} if signal.SIGINT in sent.numbers else set())
    settled(starting, place)
    check_status(place, *sent.statuses)


def check_said(place: Place, raised: set[str]) -> None:
    """What the process has printed is what the script's own exceptions print: the last of each chain is one of them.

    Ctrl-C may come while code handles an exception of its own, which is shown then; a second one while the interpreter
    itself ends, which says that it ignores it.
    """
    named = re.findall(r"^(\w+(?:Error|Exception|Interrupt|Exit))\b", place.said, re.MULTILINE)
    assert set(named[-1:]) <= raised, f"it says {named}: {place.said}"
    for ignored in place.said.split("Exception ignored")[1:]:
        assert str(ROOT / "tracker") not in ignored, f"in our code is ignored{ignored}"


def check_status(place: Place, *statuses: str) -> None:
    """The one run has one of these statuses."""
    [(status,)] = Oracle(place.work).rows("SELECT status FROM run WHERE name = 'run'")
    assert status in statuses, f"the run is called {status}"


class Ending(NamedTuple):
    """How a process ends that does this, and what its run is called then, within a ``with`` block or not."""

    code: int
    status: str
    raised: tuple[str, ...] = ()


EXPECTED = {
    "os._exit": Ending(OWN_CODE, "lost"),
    "sys.exit": Ending(OWN_CODE, "interrupted"),
    "an uncaught exception": Ending(1, "failed", ("ValueError",)),
    "a segmentation fault": Ending(-signal.SIGSEGV, "lost"),
    "an abort": Ending(-signal.SIGABRT, "lost"),
    "children that fail and exit": Ending(0, "finished"),
}


def endings(folder: Path, share: float, rng: random.Random) -> Result:
    """A process ends in each way, at a random place of a random epoch."""
    result = Result()
    with forks(folder, WORKS) as starting:
        for number in range(share_of(200, share)):
            name = [*ENDINGS, "a cell that is run again"][number % (len(ENDINGS) + 1)]
            with Place(folder / str(number)) as place:
                where = {"place": rng.choice(PLACES), "last": rng.randrange(EPOCHS)}
                with result.trial(f"{number}, {name}, {where}"):
                    if name in ENDINGS:
                        check_ending(starting, place, name, where, rng.random() < 0.5)
                    else:
                        check_cell(starting, place, where)
                result.count(name)
    return result


def check_ending(
    starting: Forks, place: Place, name: str, where: dict[str, object], within: bool
) -> None:
    """The exit code is the script's, the status true, and nothing of ours is said."""
    expected = EXPECTED[name]
    given = {"ending": name, "within": within, **where}
    pid = starting.launch(place, f"{WORKS}:until", whole=True, given=given)
    starting.wait([pid], LONGEST_WAIT)
    code = starting.collect(pid)
    assert code == expected.code, f"exit code {code}: {place.said}"
    check_said(place, set(expected.raised))
    settled(starting, place)
    check_status(place, expected.status)


def check_cell(starting: Forks, place: Place, where: dict[str, object]) -> None:
    """The run of the first time says that it was interrupted; the second one is whole."""
    pid = starting.launch(place, f"{WORKS}:cell", whole=True, given=where)
    starting.wait([pid], LONGEST_WAIT)
    code = starting.collect(pid)
    assert code == 0, f"exit code {code}: {place.said}"
    check_said(place, set())
    settled(starting, place)
    rows = Oracle(place.work).rows(
        "SELECT status FROM run WHERE name <> 'after-1' ORDER BY started"
    )
    assert [status for (status,) in rows] == ["interrupted", "finished"], rows


def exits(folder: Path, share: float, rng: random.Random) -> Result:
    """A process ends with a full queue while somebody holds the database."""
    result, longest = Result(), Longest()
    with forks(folder, WORKS) as starting:
        for number in range(share_of(40, share)):
            with Place(folder / str(number)) as place, result.trial(f"exit {number}"):
                with pulse() as beating:
                    took = check_exit(starting, place, explicitly=number % 2 == 0)
                longest.note([0.0], [took], beating.longest)
    result.facts["longest exit, s"] = round(longest.end, 2)
    return result


def check_exit(starting: Forks, place: Place, *, explicitly: bool) -> float:
    """The process is gone in time, and what it has left is imported; returns how many seconds it took."""
    given = {"explicitly": explicitly}
    pid = starting.launch(place, f"{WORKS}:leave", whole=True, given=given)
    while not (place.folder / "ready").exists():
        time.sleep(0.005)
    with closing(sqlite3.connect(Oracle(place.work).path, isolation_level=None)) as other:
        other.execute("PRAGMA busy_timeout=60000")
        other.execute("BEGIN EXCLUSIVE")
        (place.folder / "held").touch()
        starting.wait([pid], LONGEST_WAIT)
        took = time.monotonic() - float((place.folder / "leaving").read_text())
    assert starting.collect(pid) == 0, place.said
    settled(starting, place)
    check_status(place, "finished")
    steps = Oracle(place.work).rows("SELECT sum(calls) FROM clock WHERE number >= 0")
    assert steps == [(POINTS,)], steps
    return took


FAMILIES = [
    Family(
        "A7",
        "SIGTERM, Ctrl-C and a second Ctrl-C at random moments of saving and recording",
        "1, 4, 7",
        200,
        0.02,
        signals,
        minutes=2.5,
    ),
    Family(
        "A8",
        "a process ends by exit, exception, crash or with children, at random places",
        "1, 4, 7",
        200,
        0.02,
        endings,
        minutes=2.5,
    ),
    Family(
        "X3",
        "a process ends with 50 000 points in its queue while another one holds the database",
        "1, 3",
        40,
        0.025,
        exits,
        minutes=2.0,
        load=Load.WAITING,
    ),
]
