"""kill -9 at every call that changes a file, while checkpoints of each format are replaced, pruned and copied."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.faults.family import Family, Result, moments
from tests.faults.oracle import Oracle
from tests.faults.processes import KILL, Forks, Place, fault, forks, killed
from tests.faults.works import NOTED
from tracker.checkpointing import transfer
from tracker.checkpointing.copies import copies_of
from tracker.checkpointing.store import folder_of
from tracker.files import SavedFile, is_same
from tracker.folders import inspect_path
from tracker.maintenance import store, upload
from tracker.storage.database import reading
from tracker.storage.location import Location, locate
from tracker.storage.spool import spool_files

FORMATS = (".keras", ".weights.h5", ".pt", ".safetensors", "/")
STEP = 2
"""Between two calls that a kill meets; what follows the first is the same for most neighbours."""


def every_format(folder: Path, share: float, rng: random.Random) -> Result:
    """A file of each format is replaced, others are pruned, the store is cleared, and copies are made."""
    result = Result()
    with (
        forks(folder, "tests.faults.writers", KERAS_BACKEND="torch") as writing,
        forks(folder) as starting,
    ):
        for suffix in FORMATS:
            writing.warm_up("tests.faults.writers:everything", suffix=suffix)
            begun = Place(folder / f"begun{suffix.strip('/')}")
            given = {"suffix": suffix}
            done = writing.start(begun, "tests.faults.writers:first", given=given)
            assert done["code"] == 0, begun.raised()
            for at in moments(share / STEP):
                with Place(folder / str(at)) as place:
                    shutil.copytree(begun.folder, place.folder, dirs_exist_ok=True)
                    work = "tests.faults.writers:later"
                    answer = writing.start(place, work, fault=fault(at, KILL), given=given)
                    if not killed(answer):
                        assert answer["code"] == 0, place.raised()
                        break
                    with result.trial(f"{suffix}, call {at}"):
                        check(starting, place, suffix)
                    result.count(suffix)
    return result


def check(starting: Forks, place: Place, suffix: str) -> None:
    """At once, and after the next start: the path is whole, each row has its bytes, and each copy is one."""
    location = locate(place.work / ".tracker/tracker.db")
    if suffix != "/":
        check_path(place, f"best{suffix}")
    if not spool_files(location):
        check_rows(location)
    for work in ("recover", "mend"):
        assert starting.start(place, work)["code"] == 0, place.raised()
    check_rows(location)
    copy_again(place, location)
    assert list(place.work.rglob(".tracker-*")) == []
    oracle = Oracle(place.work)
    oracle.check_database()
    oracle.check_nothing_runs()
    store.clean(location, store.plan(location))
    assert len(list(folder_of(location).glob("*"))) == len(stored(location))


def check_path(place: Place, name: str) -> None:
    """The user's path is a file that was complete before it got that name."""
    complete = {json.loads(line)[0] for line in (place.folder / NOTED).read_text().splitlines()}
    file = inspect_path(place.work / name)
    assert file is not None and file.sha256 in complete, f"{name} is none that was written"


def check_rows(location: Location) -> None:
    """Each row that is available has its file, with its size and hash; each copy that was recorded is whole."""
    for file in rows(location, "state = 'available'"):
        assert is_same(inspect_path(file.path), file), f"{file.path} is not as recorded"
    with reading(location) as reader:
        copies = [copy for of_one in copies_of(reader.connection, None).values() for copy in of_one]
    for copy in copies:
        assert transfer.check(copy) == copy.state, f"{copy.url} is not as recorded"


def copy_again(place: Place, location: Location) -> None:
    """A second call copies what is missing, and leaves nothing half done in the remote folder."""
    runs = [id for (id,) in Oracle(place.work).rows("SELECT id FROM run")]
    planned = upload.plan(location, runs, f"file://{place.work}/far")
    assert [why for _, why in upload.upload(location, planned, jobs=1) if why is not None] == []
    check_rows(location)


def stored(location: Location) -> list[SavedFile]:
    """Return what the store should have."""
    return rows(location, "state = 'available' AND kept IS NOT NULL")


def rows(location: Location, where: str) -> list[SavedFile]:
    """Return what is recorded of some checkpoints."""
    assert location.path is not None
    with closing(sqlite3.connect(location.path)) as connection:
        found = connection.execute(f"SELECT path, bytes, sha256 FROM checkpoint WHERE {where}")
        return [SavedFile(location.absolute(path), size, sha256) for path, size, sha256 in found]


FAMILIES = [
    Family(
        "A9",
        "kill −9 before every second call that changes a file, while checkpoints of five formats are replaced, pruned, "
        "cleared out of the store and copied",
        "1, 4",
        None,
        0.02,
        every_format,
        minutes=8.0,
    )
]
