"""What others do to the files of checkpoints: users who change them, and processes that work on them at once."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import tracker
from tests.faults.family import Family, Result, share_of
from tests.faults.oracle import Oracle
from tests.faults.processes import Place, forks
from tests.faults.works import ENOUGH
from tracker.errors import CheckpointError
from tracker.maintenance import checkpoints as maintenance
from tracker.queries.checkpoints import find_checkpoint
from tracker.recording.active import live_runs
from tracker.storage.database import reading
from tracker.storage.location import locate

WORKS = "tests.faults.files"
LONGEST_WAIT = 120.0
SAVED, OTHER = b"saved " * 100, b"other " * 100
FOLDER, VICTIM = Path("ckpt"), Path("victim")
"""Where the checkpoints are, and a file of the user's own with the bytes of one of them."""


def _replace(path: Path, content: bytes) -> None:
    path.with_suffix(".new").write_bytes(content)
    path.with_suffix(".new").replace(path)


def _edit(path: Path) -> None:
    """Change a byte, and nothing else that can be seen: neither the size nor the time."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"S")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _link(path: Path, make: Callable[[Path, Path], object]) -> None:
    path.unlink()
    make(path, VICTIM.absolute())


def _move_and_link(path: Path) -> None:
    moved = path.rename(path.with_suffix(".moved"))
    path.symlink_to(moved.name)


def _become(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "it is deleted": (Path.unlink, "missing"),
    "it is moved": (lambda path: path.rename(path.with_suffix(".moved")), "missing"),
    "its folder is moved": (lambda path: path.parent.rename("moved"), "missing"),
    "it is edited": (_edit, "modified"),
    "its end is cut off": (lambda path: os.truncate(path, 10), "modified"),
    "it is emptied": (lambda path: os.truncate(path, 0), "modified"),
    "another file takes its place": (partial(_replace, content=OTHER), "modified"),
    "a link to the same bytes": (partial(_link, make=Path.symlink_to), "modified"),
    "a link to itself, moved": (_move_and_link, "modified"),
    "a folder takes its place": (partial(_become, make=Path.mkdir), "modified"),
    "a pipe takes its place": (partial(_become, make=os.mkfifo), "modified"),
    # Deleting a second name costs nobody a byte.
    "a hard link to the same bytes": (partial(_link, make=Path.hardlink_to), "available"),
    "it is copied over itself": (partial(_replace, content=SAVED), "available"),
}


def changed_files(folder: Path, share: float, rng: random.Random) -> Result:
    """A user changes the file of a checkpoint in each way; then it is verified, pruned and restored."""
    result, before = Result(), Path.cwd()
    for number in range(share_of(20 * len(CHANGES), share)):
        name = list(CHANGES)[number % len(CHANGES)]
        place = folder / str(number)
        place.mkdir()
        os.chdir(place)
        try:
            with result.trial(f"{number}, {name}"):
                check_change(*CHANGES[name], verified=rng.random() < 0.5, ended=rng.random() < 0.5)
        finally:
            for run in live_runs():  # of a trial that was broken off
                run.finish()
            os.chdir(before)
            shutil.rmtree(place)
        result.count(name)
    return result


def check_change(
    change: Callable[[Path], object], state: str, *, verified: bool, ended: bool
) -> None:
    """Its state is true, and neither it nor the user's file goes; nothing is restored from it.

    Args:
        change: makes it; ``state``: what the checkpoint is then.
        verified: whether somebody verifies before the file is pruned.
        ended: whether the run has ended, and it is pruned from outside.
    """
    database = locate("tracker.db")
    VICTIM.write_bytes(SAVED)
    run = tracker.start_run(database="tracker.db", system_metrics=False)
    made = [
        run.save_checkpoint(FOLDER / str(epoch), partial(Path.write_bytes, data=SAVED), epoch=epoch)
        for epoch in range(3)
    ]
    changed = made[1]
    change(changed.path)
    there = tree(Path.cwd())
    if verified:
        [found] = [
            one for one in maintenance.verify(database) if one.checkpoint["id"] == changed.id
        ]
        assert found.state == state, f"verified as {found.state}"
    if state != "available":
        check_restored(run.id)
    if ended:
        run.finish()
        maintenance.prune(database, maintenance.plan_pruning(database, run.id))
    else:
        run.prune_checkpoints(made[1:2])
        run.finish()
    gone = set(there) - set(tree(Path.cwd()))
    assert gone <= {changed.path, made[0].path} - (
        {changed.path} if state != "available" else set()
    )
    assert {path: kind for path, kind in there.items() if path not in gone} == tree(Path.cwd())
    assert VICTIM.read_bytes() == SAVED
    maintenance.verify(database)
    stored = Oracle(Path.cwd(), Path("tracker.db")).rows(
        f"SELECT state FROM checkpoint WHERE id = '{changed.id}'"
    )
    assert stored == [("pruned" if state == "available" else state,)], stored


def check_restored(run: str) -> None:
    """What is not what was saved is not handed out as that; a link may lead to what is."""
    with reading(locate("tracker.db")) as reader:
        row = find_checkpoint(reader, run, epoch=1)
    try:
        maintenance.restore(row, Path("restored"))
    except CheckpointError:
        assert not Path("restored").exists()
    else:
        assert Path("restored").read_bytes() == SAVED
        Path("restored").unlink()


def tree(folder: Path) -> dict[Path, str]:
    """Return what is in a folder: path → hash, or what it is; without the database's files."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[path] = f"link to {path.readlink()}"
        elif path.is_file() and not path.name.startswith("tracker.db"):
            found[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.is_fifo():
            found[path] = "pipe"
        elif path.is_dir() and path.is_relative_to(Path.cwd() / FOLDER):
            found[path] = "folder"
    return found


SIZE = 300_000
SECONDS = 3.0


def content(number: int) -> bytes:
    """Return bytes that say whether they are whole."""
    body = random.Random(number).randbytes(SIZE)
    return hashlib.sha256(body).digest() + body


def is_whole(data: bytes) -> bool:
    """Say whether these are the bytes of one checkpoint, all of them."""
    return len(data) == SIZE + 32 and hashlib.sha256(data[32:]).digest() == data[:32]


def _wanted() -> bool:
    return not (Path.cwd().parent / ENOUGH).exists()


def saving() -> None:
    """Save checkpoints until that is enough, over the best one and under new names."""
    with tracker.start_run("fault", "run", system_metrics=False) as run:
        for epoch in count():
            for path in ("ckpt-run/best", f"ckpt-run/{epoch}"):
                run.save_checkpoint(
                    path, partial(Path.write_bytes, data=content(epoch)), epoch=epoch
                )
            run.log_epoch(epoch, {"loss": 1.0})
            if not _wanted():
                break


def pruning() -> None:
    """Prune them from outside."""
    run = _run()
    while _wanted():
        maintenance.prune(locate(), maintenance.plan_pruning(locate(), run, keep=2))


def verifying() -> None:
    """Verify them all the time."""
    while _wanted():
        maintenance.verify(locate(), jobs=1)


def loading() -> None:
    """Read what has a name, and restore the last one: what can be read is whole."""
    run, restored = _run(), Path("restored")
    while _wanted():
        for path in Path("ckpt-run").glob("[!.]*"):
            with suppress(FileNotFoundError):
                assert is_whole(path.read_bytes()), f"{path} was read in part"
        with suppress(CheckpointError):  # the next one has taken its place meanwhile
            with reading() as reader:
                row = find_checkpoint(reader, run, alias="last")
            maintenance.restore(row, restored, replace=True)
            assert is_whole(restored.read_bytes()), "a part of a file was restored"


def _run() -> str:
    while True:
        with reading() as reader:
            found = (
                []
                if reader.empty
                else reader.connection.exec_driver_sql(
                    "SELECT run_id FROM checkpoint WHERE state = 'available'"
                ).fetchall()
            )
        if found:
            return str(found[0][0])
        time.sleep(0.01)


def at_once(folder: Path, share: float, rng: random.Random) -> Result:
    """Four processes save, prune, verify and load the checkpoints of one run."""
    result = Result()
    with forks(folder, WORKS) as starting:
        for number in range(share_of(40, share)):
            with Place(folder / str(number)) as place:
                pids = [
                    starting.launch(place, f"{WORKS}:{work}")
                    for work in ("saving", "pruning", "verifying", "loading")
                ]
                time.sleep(SECONDS)
                (place.folder / ENOUGH).touch()
                with result.trial(f"round {number}"):
                    starting.wait(pids, LONGEST_WAIT)
                    assert place.raised() is None, place.raised()
                    assert starting.start(place, "recover")["code"] == 0, place.raised()
                    result.count("checkpoints", check_states(place))
    return result


def check_states(place: Place) -> int:
    """Nobody but us has touched a file: each is there, or was pruned, and its row says which."""
    oracle = Oracle(place.work)
    oracle.check_database()
    oracle.check_checkpoints()
    states = dict(oracle.rows("SELECT state, count(*) FROM checkpoint GROUP BY state"))
    assert set(states) <= {"available", "pruned"}, states
    return sum(states.values())


FAMILIES = [
    Family(
        "C3",
        "the user deletes, edits, moves, replaces or links the file of a checkpoint",
        "4, 5",
        20 * len(CHANGES),
        0.05,
        changed_files,
        minutes=1.5,
    ),
    Family(
        "C4",
        "four processes save, prune, verify and load at once",
        "4, 5",
        40,
        0.025,
        at_once,
        minutes=3.5,
    ),
]
