"""Flipped bytes and cuts, in a database, in a spool and in checkpoints: nothing wrong is shown as true."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import tracker
from tests.faults.family import Family, Result, share_of
from tests.faults.works import loss_of
from tracker.checkpointing.store import folder_of
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
        kind = list(FILES)[number % len(FILES)]
        target = place / FILES[kind]
        how = damage(target, rng, within=pages_of_epochs(target) if kind == EPOCHS_OF else None)
        with result.trial(f"{kind}, {how}"):
            seen = CHECKS[kind](place)
            result.count(f"{kind}: {seen}")
        shutil.rmtree(place)
    return result


EPOCHS_OF = "pages of epochs"
FILES = {
    "database": "tracker.db",
    EPOCHS_OF: "tracker.db",
    "spool": "a.jsonl",
    "checkpoint": "best.pt",
}
"""What is damaged, and the file that it is in."""


def pages_of_epochs(path: Path) -> list[range]:
    """Return where the pages are that the epochs, their metrics and the indexes of both begin with."""
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        roots = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE tbl_name IN ('epoch', 'metric')"
        )
        return [range((root - 1) * size, root * size) for (root,) in roots]


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


def damage(path: Path, rng: random.Random, within: Sequence[range] | None = None) -> str:
    """Change a file, in one of these places; returns how."""
    data = bytearray(path.read_bytes())
    at = rng.choice(rng.choice(within or [range(len(data))]))
    if within is None and rng.randrange(CUTS) == 0:
        path.write_bytes(data[:at])
        return f"cut at {at}"
    bit = rng.randrange(8)
    data[at] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} at {at}"


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
        list(examine(locate(database)))
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


CHECKS = {
    "database": check_database,
    EPOCHS_OF: check_database,
    "spool": check_spool,
    "checkpoint": check_checkpoint,
}


def flipped_bytes(folder: Path, share: float, rng: random.Random) -> Result:
    """A byte flips in a file, in a folder, in the store or in a copy: `verify` names that one, and no other."""
    result = Result()
    database = folder / "tracker.db"
    kinds = register(folder, database)
    for number in range(share_of(1000, share)):
        kind = list(kinds)[number % len(kinds)]
        path = rng.choice(kinds[kind])
        data = path.read_bytes()
        at = rng.randrange(len(data))
        flipped = bytes([data[at] ^ rng.randrange(1, 256)])
        with result.trial(f"{kind}, byte {at}"):
            path.write_bytes(data[:at] + flipped + data[at + 1 :])
            assert not_whole(database) == [kind], "another one is named, or none"
            path.write_bytes(data)
            assert not_whole(database) == []
        result.count(kind)
    return result


def register(folder: Path, database: Path) -> dict[str, list[Path]]:
    """Record a file, a folder, one that was replaced and a copy; returns the files of each."""
    far = f"file://{folder}/far"
    for name in ("in the store", "a file"):
        with tracker.start_run("damage", name, database=database, system_metrics=False) as run:
            content = random.Random(name).randbytes(5000)
            value = float(name == "a file")
            run.save_checkpoint(
                folder / "best.pt", partial(Path.write_bytes, data=content), monitor="loss", value=value
            )  # fmt: skip
    with tracker.start_run("damage", "a folder", database=database, system_metrics=False) as run:
        for shard in ("1", "sub/2"):
            path = folder / "shards" / shard
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(random.Random(shard).randbytes(3000))
        run.log_checkpoint(folder / "shards")
    with tracker.start_run(
        "damage", "a copy", database=database, system_metrics=False, remote=far
    ) as run:
        run.save_checkpoint(folder / "b.pt", partial(Path.write_bytes, data=b"b" * 4000))
    return {
        "a file": [folder / "best.pt"],
        "a folder": [folder / "shards/1", folder / "shards/sub/2"],
        "in the store": list(folder_of(locate(database)).iterdir()),
        "a copy": [path for path in (folder / "far").rglob("*") if path.is_file()],
    }


def not_whole(database: Path) -> list[str]:
    """Return the names of the runs whose file or copy is called anything but available."""
    return [
        one.checkpoint["run"]
        for one in verify(locate(database), jobs=1, remote=True)
        if one.state != "available" or one.copy not in (None, "available")
    ]


FAMILIES = [
    Family(
        "B9",
        "a bit flips in a database, a spool or a checkpoint, or its end is cut off",
        "8",
        2000,
        0.02,
        damaged_files,
        minutes=3.0,
    ),
    Family(
        "B10",
        "a byte of a checkpoint changes: of a file, in a folder, in the store, of a copy",
        "4, 8",
        1000,
        0.01,
        flipped_bytes,
        minutes=1.5,
    ),
]
