"""Upgrades that are killed, or whose disk fails or fills up: the old database is whole, or the new one is."""

from __future__ import annotations

import errno
import random
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.faults.family import Family, Result, moments
from tests.faults.processes import FAIL, KILL, Forks, Place, fault, forks, killed
from tests.helpers import ROOT
from tracker.storage import migrate, schema
from tracker.storage.location import locate

WORKS = "tests.faults.upgrades"
SCHEMAS = ROOT / "tests/storage/schemas"
REFUSALS = ("StoreError", "NotWritable", "DatabaseBusy")


def upgraded_once() -> None:
    """Upgrade a database, here."""
    migrate.upgrade(locate(old_database(Path.cwd(), schema.HISTORY[0])))


def while_upgrading(folder: Path, share: float, rng: random.Random) -> Result:
    """An upgrade from each earlier schema, killed before its calls; the old one is whole, or the new one is."""
    result = Result()
    with forks(folder) as starting:
        starting.warm_up(f"{WORKS}:upgraded_once")
        for release in schema.HISTORY[:-1]:
            for at in moments(share_from(release, share)):
                with Place(folder / f"{release}-{at}") as place:
                    path = old_database(place.work, release)
                    answer = starting.start(place, "upgrade", fault=fault(at, KILL))
                    if not killed(answer):
                        assert answer["code"] == 0, place.raised()
                        break
                    with result.trial(f"{release}, call {at}"):
                        check_upgraded(starting, place, path, release)
    return result


def share_from(release: str, share: float) -> float:
    """Return the share of the calls of an upgrade from a schema: the whole from the ends of history.

    The upgrade from the first one goes through all migrations, that from the last one is what most people meet.
    """
    ends = (schema.HISTORY[0], schema.HISTORY[-2])
    return share if release in ends else share * BETWEEN


BETWEEN = 0.1


def old_database(folder: Path, release: str) -> Path:
    """Make a database of an earlier release, in WAL mode as the program would have it."""
    path = folder / ".tracker/tracker.db"
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript((SCHEMAS / f"{release}.sql").read_text())
    return path


def check_upgraded(starting: Forks, place: Place, path: Path, release: str) -> None:
    """One schema or the other, with every epoch; then the upgrade goes through."""
    with closing(sqlite3.connect(path)) as connection:
        ask = connection.execute
        assert ask("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert ask("PRAGMA foreign_key_check").fetchall() == []
        assert ask(f"SELECT version_num FROM {schema.VERSION_TABLE}").fetchone()[0] in (
            release,
            schema.HEAD,
        )
        before = ask("SELECT count(*) FROM metric").fetchone()
    assert starting.start(place, "upgrade")["code"] == 0, place.raised()
    with closing(sqlite3.connect(path)) as connection:
        ask = connection.execute
        assert ask(f"SELECT version_num FROM {schema.VERSION_TABLE}").fetchone()[0] == schema.HEAD
        assert ask("SELECT count(*) FROM metric").fetchone() == before
        assert ask("PRAGMA foreign_key_check").fetchall() == []
    assert list(path.parent.glob("*.part-*")) == []


def that_fail(folder: Path, share: float, rng: random.Random) -> Result:
    """An upgrade from each earlier schema, while a call fails, and while the disk is full from some call on."""
    result = Result()
    with forks(folder) as starting:
        starting.warm_up(f"{WORKS}:upgraded_once")
        for release in schema.HISTORY[:-1]:
            for code, forever in ((errno.EIO, False), (errno.ENOSPC, True)):
                called = f"{errno.errorcode[code]} {'from there on' if forever else 'once'}"
                for at in moments(share_from(release, share) * LARGER_STEPS):
                    with Place(folder / f"{release}-{at}") as place:
                        path = old_database(place.work, release)
                        hit = fault(at, FAIL, code=code, forever=forever)
                        answer = starting.start(place, "upgrade", fault=hit)
                        if answer["code"] == 0 and answer["calls"] < at:
                            break
                        with result.trial(f"{release}, {called}, call {at}"):
                            check_said(place, answer["code"])
                            check_upgraded(starting, place, path, release)
                        result.count(called)
    return result


LARGER_STEPS = 0.2
"""Of the calls at which an upgrade is killed, so many fail: what follows is the same for most of them."""


def check_said(place: Place, code: int) -> None:
    """It has succeeded all the same, or an error of ours says what was wrong."""
    raised = place.raised()
    if code != 0:
        assert raised is not None and raised.split()[1].rstrip(":") in REFUSALS, raised


FAMILIES = [
    Family(
        "A4",
        "kill −9 before every call of an upgrade from the first schema and from the last, and before every tenth from "
        "those between",
        "9",
        None,
        0.02,
        while_upgrading,
        minutes=3.5,
    ),
    Family(
        "M4",
        "a call of an upgrade fails with EIO, or the disk is full from there on, from each schema",
        "9",
        None,
        0.02,
        that_fail,
        minutes=1.5,
    ),
]
