"""Flipped bytes and cuts, in a database, in a spool and in checkpoints: nothing wrong is shown as true."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import tracker
from tests.faults.family import Family, Result, share_of
from tests.faults.works import loss_of
from tracker.errors import TrackerError
from tracker.maintenance.checkpoints import verify
from tracker.maintenance.doctor import examine
from tracker.storage.location import locate
from tracker.storage.spool import Spool, damaged_lines, read_file

EPOCHS = 40
CUTS = 10
"""Of so many tries, one cuts the file instead of flipping a bit."""


def damaged_files(folder: Path, share: float, rng: random.Random) -> Result:
    """A bit of a file flips, or its end is cut off; then everything is read."""
    result = Result()
    whole = folder / "whole"
    record(whole)
    count = share_of(2000, share)
    for number in range(count):
        place = folder / "damaged"
        shutil.copytree(whole, place)
        kind = ("database", "database", "spool", "checkpoint")[number % 4]
        target = (
            place / {"database": "tracker.db", "spool": "a.jsonl", "checkpoint": "best.pt"}[kind]
        )
        how = damage(target, rng)
        with result.trial(f"{kind}, {how}"):
            seen = CHECKS[kind](place)
            result.count(f"{kind}: {seen}")
        shutil.rmtree(place)
    return result


def record(folder: Path) -> None:
    """Record a run with a checkpoint; its database is whole in one file."""
    folder.mkdir()
    database = folder / "tracker.db"
    with tracker.start_run("damage", name="run", database=database, system_metrics=False) as run:
        for epoch in range(EPOCHS):
            run.log({"step_loss": loss_of(epoch)})
            run.log_epoch(epoch, {"loss": loss_of(epoch), "other": 1.0})
        run.save_checkpoint(
            folder / "best.pt", lambda to: to.write_bytes(random.Random(0).randbytes(9000))
        )
    entries: Any = [
        {"kind": "epoch", "epoch": epoch, "loss": loss_of(epoch)} for epoch in range(EPOCHS)
    ]
    Spool(folder / "a.jsonl").append(entries)


def damage(path: Path, rng: random.Random) -> str:
    """Change a file; returns how."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    if rng.randrange(CUTS) == 0:
        path.write_bytes(data[:at])
        return f"cut at {at}"
    data[at] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return f"bit at {at}"


def check_database(folder: Path) -> str:
    """Each epoch that is shown has the values that were recorded; or an error of ours says what is wrong."""
    database = folder / "tracker.db"
    try:
        shown = tracker.epochs(database=database)
    except TrackerError:
        seen = "refused with a sentence"
    else:
        wrong = [
            row.epoch
            for row in shown.itertuples()
            if not _is_missing(row.loss) and row.loss not in ALL
        ]
        assert wrong == [], f"epochs {wrong} are shown with values that nobody recorded"
        moved = [
            row.epoch
            for row in shown.itertuples()
            if not _is_missing(row.loss) and row.loss != loss_of(int(row.epoch))
        ]
        assert moved == [], f"epochs {moved} are shown with another one's values"
        right = sum(not _is_missing(row.loss) for row in shown.itertuples())
        seen = "all shown, and right" if right == EPOCHS else "some left out, the others right"
    with suppress(TrackerError):
        examine(locate(database))
    return seen


ALL = {loss_of(epoch) for epoch in range(EPOCHS)}


def _is_missing(value: Any) -> bool:
    return value is None or value != value


def check_spool(folder: Path) -> str:
    """Each line that is read is one that was written; every other one that was written whole is counted."""
    path = folder / "a.jsonl"
    entries = read_file(path)
    for entry in entries:
        assert entry["loss"] == loss_of(entry["epoch"])  # type: ignore[typeddict-item]
    lost = EPOCHS - len(entries)
    return f"{'no' if lost == 0 else 'a' if damaged_lines(path) <= 2 else 'some'} line left out"


def check_checkpoint(folder: Path) -> str:
    """`verify` finds every change."""
    [found] = verify(locate(folder / "tracker.db"))
    assert found.state != "available", "a changed file is called available"
    return f"called {found.state}"


CHECKS = {"database": check_database, "spool": check_spool, "checkpoint": check_checkpoint}

FAMILIES = [
    Family(
        "B9",
        "a bit flips in a database, a spool or a checkpoint, or its end is cut off",
        "8",
        2000,
        0.02,
        damaged_files,
    )
]
