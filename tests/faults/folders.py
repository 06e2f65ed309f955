"""The folder of the database: read-only, removed, replaced, and closed to other users."""

from __future__ import annotations

import errno
import random
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.faults.disks import can_mount, check_failed, small_disk
from tests.faults.family import Family, Result, share_of
from tests.faults.kills import settled, wait_for_epochs
from tests.faults.oracle import Oracle, noted
from tests.faults.processes import FAIL, Forks, Place, fault, forks
from tests.faults.works import LOG

EPOCHS = 30
LONGEST_WAIT = 120.0


def unwritable_folders(folder: Path, share: float, rng: random.Random) -> Result:
    """A folder cannot be written when a run starts, or is lost while it records."""
    result = Result()
    kinds = [*LOSSES, "read-only at the start", "read-only from some call on"]
    if not can_mount(folder):
        result.facts["not tried"] = "read-only folders: only root may mount one"
        kinds.remove("read-only at the start")
    with forks(folder) as starting:
        for number in range(share_of(100, share)):
            kind = kinds[number % len(kinds)]
            with Place(folder / str(number)) as place:
                with result.trial(f"{number}, {kind}"):
                    if kind in LOSSES:
                        check_lost(starting, place, LOSSES[kind], rng)
                    elif kind == "read-only at the start":
                        check_read_only(starting, place)
                    else:
                        check_turned(starting, place, rng)
                result.count(kind)
    return result


def _away(path: Path) -> None:
    path.rename(path.parents[1] / "away")


LOSSES: dict[str, Callable[[Path], object]] = {
    "the folder is removed": lambda path: shutil.rmtree(_moved(path.parent)),
    "the folder is moved": lambda path: _moved(path.parent),
    "the file is deleted": Path.unlink,
    "the file is moved": _away,
}


def _moved(path: Path) -> Path:
    """Move a folder away in one step, as no ``rm`` can delete it."""
    return path.rename(path.parent / "away")


def check_lost(
    starting: Forks, place: Place, lose: Callable[[Path], object], rng: random.Random
) -> None:
    """What is acknowledged once the file is gone is not written into it, and is in the database that follows."""
    given = {"epochs": EPOCHS, "pause": 0.005, "checkpoints": False}
    pid = starting.launch(place, "record", given=given)
    wait_for_epochs(place, rng.randint(1, EPOCHS // 2))
    lose(place.work / ".tracker/tracker.db")
    # The epoch that follows these may have been committed before.
    before = sum(map(len, noted(place.acknowledged).values()))
    starting.wait([pid], LONGEST_WAIT)
    assert place.raised() is None, place.raised()
    assert "no longer exists. Training continues" in place.log, place.log
    assert starting.start(place, "recover")["code"] == 0, place.raised()
    oracle = Oracle(place.work)
    oracle.check_database()
    oracle.check_nothing_runs()
    [(run, epochs)] = noted(place.acknowledged).items()
    assert len(epochs) == EPOCHS
    later = {epoch: loss for epoch, loss in epochs.items() if epoch > before}
    assert later.items() <= oracle.recorded()[run].items(), "an epoch went with the file"


def check_read_only(starting: Forks, place: Place) -> None:
    """A start on a read-only disk says so, and changes nothing; one on the same disk works once that is over."""
    disk = place.folder / "disk"
    with small_disk(disk, 16 << 20):
        place.work.rmdir()
        place.work = disk
        _remount(disk, "ro")
        assert starting.start(place, "record")["code"] == 1
        assert "RAISED NotWritable" in (place.raised() or ""), place.log
        assert list(disk.iterdir()) == []
        _remount(disk, "rw")
        (place.folder / LOG).unlink()
        assert starting.start(place, "record")["code"] == 0, place.raised()
        settled(starting, place)


def _remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True, capture_output=True)


def check_turned(starting: Forks, place: Place, rng: random.Random) -> None:
    """A disk that turns read-only, as after an error of its own, stops no training."""
    hit = fault(rng.randint(1, 400), FAIL, code=errno.EROFS, forever=True)
    starting.start(place, "record", fault=hit)
    check_failed(starting, place)


UMASKS = (0o000, 0o077, 0o022, 0o002, 0o027)


def umasks(folder: Path, share: float, rng: random.Random) -> Result:
    """Whatever the umask, nobody else may read what is recorded: database, log, lock, spool, store, backup."""
    result = Result()
    with forks(folder) as starting:
        for umask in UMASKS[: share_of(len(UMASKS), share)]:
            with Place(folder / f"{umask:03o}") as place, result.trial(f"umask {umask:03o}"):
                answer = starting.start(place, "write every file", given={"umask": umask})
                assert answer["code"] == 0, place.raised()
                result.count("files", check_modes(place.work / ".tracker"))
    return result


def check_modes(folder: Path) -> int:
    """Folders are 0700 and files 0600; returns how many there are."""
    made = [folder, *folder.rglob("*")]
    names = " ".join(str(path) for path in made)
    for part in (".db", "-wal", ".lock", ".jsonl", "/checkpoints/", "backup"):
        assert part in names, f"no {part}: {names}"
    for path in made:
        expected = 0o700 if path.is_dir() else 0o600
        # What is kept of a checkpoint is a second name of the user's own file.
        if path.parent.name != "checkpoints":
            assert stat.S_IMODE(path.stat().st_mode) == expected, path
    return len(made)


FAMILIES = [
    Family(
        "B7",
        "the folder is read-only, the folder or the database is removed or moved during a run",
        "1, 2",
        100,
        0.04,
        unwritable_folders,
        minutes=3.0,
    ),
    Family("S11", "every file is written with each umask", "10", 5, 0.4, umasks, minutes=0.3),
]
