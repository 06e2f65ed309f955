"""Disks that fail, fill up, or answer late."""

from __future__ import annotations

import errno
import json
import random
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.faults.family import Family, Load, Result, moments, share_of
from tests.faults.kills import settled, wait_for_epochs
from tests.faults.oracle import Oracle, noted
from tests.faults.processes import DELAY, FAIL, SYNC, Forks, Place, fault, forks
from tests.faults.pulse import pulse
from tests.faults.works import SAVED, content_of
from tracker.recording.recorder import CALL_SECONDS, EXIT_SECONDS

STEP_BYTES, FIRST_BYTES = 64 << 10, 256 << 10
FILE_BYTES = 10 << 16


def failing_calls(folder: Path, share: float, rng: random.Random) -> Result:
    """Each call that changes a file fails: once with EIO, and with ENOSPC from there on."""
    result = Result()
    with forks(folder) as starting:
        for code, forever in ((errno.EIO, False), (errno.ENOSPC, True)):
            called = f"{errno.errorcode[code]} {'from there on' if forever else 'once'}"
            for at in moments(share):
                with Place(folder / f"{code}-{at}") as place:
                    hit = fault(at, FAIL, code=code, forever=forever)
                    answer = starting.start(place, "record", fault=hit)
                    if answer["code"] == 0 and answer["calls"] < at:
                        break
                    with result.trial(f"{called}, call {at}"):
                        check_failed(starting, place)
                    result.count(called)
    return result


def check_failed(starting: Forks, place: Place) -> None:
    """A start is refused by an error of ours, or nothing is raised; what is lost was said to be."""
    raised = place.raised()
    if raised is not None:
        assert (
            "RAISED StoreError" in raised
            or "RAISED NotWritable" in raised
            or "RAISED DatabaseBusy" in raised
            or ("RAISED CheckpointError" in raised)
        ), raised
        if noted(place.acknowledged) == {}:
            assert starting.start(place, "recover")["code"] == 0, place.raised()
            return
    log = place.log
    if "could be written nowhere" in log:
        return
    settled(starting, place)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a file system of that many bytes; only root may."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def can_mount(folder: Path) -> bool:
    """Say whether this user may mount a file system."""
    try:
        with small_disk(folder / "try", 1 << 20):
            return True
    except (subprocess.CalledProcessError, OSError):
        (folder / "try").rmdir()
        return False


def full_disks(folder: Path, share: float, rng: random.Random) -> Result:
    """Disks of 60 sizes fill up while a run records; then there is room, and the next start imports all."""
    result = Result()
    if not can_mount(folder):
        result.facts["not tried"] = "only root may mount a small disk"
        return result
    sizes = list(range(60))
    with forks(folder) as starting:
        for number in rng.sample(sizes, share_of(len(sizes), share)):
            size = FIRST_BYTES + number * STEP_BYTES
            with Place(folder / str(number)) as place:
                disk = place.folder / "disk"
                with small_disk(disk, size):
                    place.work.rmdir()
                    place.work = disk
                    answer = starting.start(
                        place, "record", given={"epochs": 60, "checkpoints": False}
                    )
                    with result.trial(f"{size >> 10} KiB"):
                        grown = disk_has_room(disk)
                        check_full(starting, place, answer["code"])
                        result.count("with a run that could start", noted(place.acknowledged) != {})
                        assert grown
    return result


def disk_has_room(disk: Path) -> bool:
    """Make the disk large."""
    done = subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=False)
    return done.returncode == 0


def check_full(starting: Forks, place: Place, code: int) -> None:
    """A start without room is refused; else nothing that was acknowledged is lost, or the log says that it is."""
    raised = place.raised()
    if noted(place.acknowledged) == {}:
        assert raised is not None and "RAISED" in raised
        assert "Error" not in raised.split()[1] or raised.split()[1].startswith(
            ("StoreError", "NotWritable")
        ), raised
        assert starting.start(place, "recover")["code"] == 0, place.raised()
        return
    assert code == 0, raised
    if "could be written nowhere" not in place.log:
        assert starting.start(place, "recover")["code"] == 0, place.raised()
        oracle = Oracle(place.work)
        oracle.check_database()
        oracle.check_acknowledged(place.acknowledged)


def full_folders(folder: Path, share: float, rng: random.Random) -> Result:
    """A checkpoint is saved over and over on disks of 0.1 to 2.5 times its size; the metrics are on another one."""
    result = Result()
    if not can_mount(folder):
        result.facts["not tried"] = "only root may mount a small disk"
        return result
    with forks(folder) as starting:
        for tenths in rng.sample(range(1, 26), share_of(25, share)):
            with Place(folder / str(tenths)) as place:
                disk = small_disk(place.work / "ckpt-run", FILE_BYTES * tenths // 10)
                with disk, result.trial(f"{tenths / 10} of the file"):
                    answer = starting.start(place, "save", given={"size": FILE_BYTES})
                    assert answer["code"] == 0, place.raised()
                    assert list(place.work.rglob(".tracker-*")) == []
                    settled(starting, place)
                    check_saved(place, tenths)
    return result


def check_saved(place: Place, tenths: int) -> None:
    """What was saved last is there and whole; a disk for two has the newest one, one for less than one has none."""
    saved = [tuple(json.loads(line)) for line in (place.folder / SAVED).read_text().splitlines()]
    there = [(path.name, path.read_bytes()) for path in (place.work / "ckpt-run").iterdir()]
    last = [epoch for epoch, done in saved if done][-1:]
    assert there == [("best", content_of(epoch, FILE_BYTES)) for epoch in last]
    assert [done for _, done in saved] == [
        (epoch == 0 and tenths >= 10) or tenths >= 20 for epoch, _ in saved
    ]


def slow_disks(folder: Path, share: float, rng: random.Random) -> Result:
    """A disk whose every fsync takes 3 seconds, from a random one on: no call waits for it."""
    result, longest = Result(), Longest()
    with forks(folder) as starting:
        for number in range(share_of(20, share)):
            with Place(folder / str(number)) as place, pulse() as beating:
                hit = fault(rng.randint(10, 16), DELAY, forever=True, milliseconds=3000, kinds=SYNC)
                answer = starting.start(
                    place, "record", fault=hit, given={"checkpoints": False, "epochs": 8}
                )
                with result.trial(f"disk {number}"):
                    assert answer["code"] == 0, place.raised()
                    # The spool is on the same disk: what was in memory only at the end was said to be lost.
                    said = "could be written nowhere" in place.log
                    result.count("runs that said what they could not write", said)
                    if not said:
                        settled(starting, place)
                    longest.note(*place.took(), beating.longest)
    result.facts |= longest.facts
    return result


LOCKED_SECONDS, BRIEFLY_LOCKED_SECONDS = 60.0, 10.0
"""In whole, and in a sample among the tests, of which a core would wait for it."""


def locked(folder: Path, share: float, rng: random.Random) -> Result:
    """Another process holds the database for a minute; then all that waited is in it, in its order."""
    result, longest = Result(), Longest()
    held = LOCKED_SECONDS if share >= 1 else BRIEFLY_LOCKED_SECONDS
    with forks(folder) as starting:
        for number in range(share_of(8, share)):
            with Place(folder / str(number)) as place, pulse() as beating:
                given = {"epochs": int(2 * held) + 20, "pause": 0.5, "checkpoints": number % 2 == 0}
                pid = starting.launch(place, "record", given=given)
                wait_for_epochs(place, rng.randint(1, 5))
                time.sleep(rng.uniform(0, 0.5))
                with closing(
                    sqlite3.connect(Oracle(place.work).path, isolation_level=None)
                ) as other:
                    other.execute("PRAGMA busy_timeout=60000")
                    other.execute("BEGIN EXCLUSIVE")
                    time.sleep(held)
                starting.wait([pid], held + LOCKED_SECONDS)
                with result.trial(f"lock {number}"):
                    assert starting.collect(pid) == 0, place.raised()
                    oracle = Oracle(place.work)
                    order = oracle.rows("SELECT epoch FROM epoch ORDER BY id")
                    assert order == [(epoch,) for epoch in range(len(order))], "in another order"
                    result.count("epochs", settled(starting, place))
                    longest.note(*place.took(), beating.longest)
    result.facts |= longest.facts
    return result


def check_bounded(calls: Iterable[float], ends: Iterable[float], still: float = 0.0) -> None:
    """No call takes longer than promised; twice that, on a machine that does other things as well.

    ``still``: for how many seconds that machine stood still meanwhile.
    """
    assert max(calls) <= 2 * CALL_SECONDS + still, f"a call took {max(calls):.1f} s"
    assert max(ends) <= 2 * EXIT_SECONDS + still, f"the end took {max(ends):.1f} s"


class Longest:
    """The longest call and the longest end of a family's trials; none in which the machine stood still."""

    def __init__(self) -> None:
        self.call = self.end = 0.0
        self.over = 0

    def note(self, calls: Iterable[float], ends: Iterable[float], still: float) -> None:
        """Note what calls and ends took, and check that."""
        calls, ends = list(calls), list(ends)
        self.over += sum(seconds > CALL_SECONDS + still for seconds in calls)
        if still < MOMENT:
            self.call, self.end = max(self.call, *calls), max(self.end, *ends)
        check_bounded(calls, ends, still)

    @property
    def facts(self) -> dict[str, float | int | str]:
        """What is reported of them."""
        return {
            "longest call, s": round(self.call, 2),
            "longest end, s": round(self.end, 2),
            f"calls over {CALL_SECONDS:.0f} s": self.over,
        }


MOMENT = 0.5


FAMILIES = [
    Family(
        "B1",
        "disks of 60 sizes fill up while a run records",
        "1, 2",
        60,
        0.05,
        full_disks,
        minutes=1.0,
    ),
    Family(
        "B2",
        "a checkpoint is saved again and again on disks of 0.1 to 2.5 times its size",
        "1, 2, 4",
        25,
        0.12,
        full_folders,
        minutes=0.3,
    ),
    Family(
        "B5",
        "each call that changes a file fails, once with EIO, or with ENOSPC from there on",
        "1, 2",
        None,
        0.015,
        failing_calls,
        minutes=4.0,
    ),
    Family(
        "B8",
        "every fsync takes 3 seconds, from a random one on",
        "3",
        20,
        0.05,
        slow_disks,
        minutes=4.5,
        load=Load.WAITING,
    ),
    Family(
        "B11",
        "another process holds the database for 60 seconds",
        "1, 3",
        8,
        0.1,
        locked,
        minutes=12.5,
        load=Load.WAITING,
    ),
]
